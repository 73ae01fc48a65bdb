"""An OpenID provider as a file of issuers names it."""


def provider(at: str = "https://idp.example") -> str:
    """The one at `at`; what it knows us by stands in `idp.secret`, beside the file."""
    return f"""\
[[provider]]
name = "idp"
issuer = "{at}"
client_id = "cafpro"
client_secret_file = "idp.secret"
authorization_url = "{at}/authorize"
token_url = "{at}/token"
jwks_url = "{at}/jwks"
end_session_url = "{at}/end"
algorithms = ["ES256"]
siret_claim = "siret"
"""
