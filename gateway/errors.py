"""Every refusal the gateway can give: a stable code, a status, and two French sentences that reveal nothing.

`because` stays in the record and in the log; it is written by us, never copied from a request or a dossier.
Codes are a contract: they are never reused. The hundreds tell the family: 1 identity, 2 request, 3 policy,
4 backend, 5 the gateway itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar


class Refusal(Exception):
    """A request is refused. `code` is what the record keeps, `shown` what goes out."""

    code: ClassVar[str]
    shown: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    said: str
    proxy_error: ClassVar[str] = "http_request_error"
    """The word of RFC 9209 for this kind of refusal."""
    more: Mapping[str, object] = {}
    """What goes out besides what every problem says (RFC 9457, 3.2)."""
    recorded: bool = True
    """Whether the record keeps a row of it. Of a flood from one address it keeps some."""

    def __init__(self, because: str = "", headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(self.code, because)
        self.because = because
        self.headers = tuple(headers)

    def __init_subclass__(cls) -> None:
        if "code" in cls.__dict__ and "shown" not in cls.__dict__:
            cls.shown = cls.code


class Unauthenticated(Refusal):
    """401: we do not know who asks. Every backend address gives an anonymous caller this same answer."""

    status = 401
    title = "Authentification requise"
    said = "Connectez-vous à Cafpro pour continuer."
    proxy_error = "http_request_denied"

    def __init__(self, because: str = "", headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(because, (("WWW-Authenticate", 'Bearer realm="cafpro"'), *headers))


class NotSignedIn(Unauthenticated):
    code = "GW101"


class SessionEnded(Unauthenticated):
    """The token is malformed, unknown, expired or signed out."""

    code = "GW102"
    title = "Session terminée"
    said = "Votre session est terminée. Connectez-vous de nouveau."


class WrongPassword(Unauthenticated):
    """One answer for an unknown identifier, a wrong password, a second factor that is missing or wrong, and an account
    that is suspended, locked or closed."""

    code = "GW103"
    title = "Connexion refusée"
    said = "L'identifiant, le mot de passe ou le code est incorrect. Avec la double authentification, donnez un code."


class TwoProofs(Unauthenticated):
    """The cookie and the bearer token name two sessions."""

    code = "GW104"
    said = "Deux sessions différentes sont présentées. Connectez-vous de nouveau."


class TooManyAttempts(Refusal):
    """Log-ins failed too often, for this identifier (known or not) or from this address: nothing was tried now."""

    code = "GW105"
    status = 429
    title = "Trop d'essais de connexion"
    said = "Plusieurs connexions ont échoué. Patientez avant un nouvel essai."
    proxy_error = "http_request_denied"

    def __init__(self, because: str, *, seconds: int) -> None:
        """`seconds` until another attempt is looked at."""
        super().__init__(because, [("Retry-After", str(seconds))])


class CertificateRefused(Unauthenticated):
    """A proxy handed over a client certificate that names no agent of ours."""

    code = "GW106"
    title = "Certificat refusé"
    said = "Le certificat présenté n'est pas accepté ou n'est plus valable. Adressez-vous à votre organisme."


class AccountSuspended(Refusal):
    code = "GW110"
    status = 403
    title = "Compte suspendu"
    said = "Votre compte est suspendu. Adressez-vous à votre correspondant Cafpro."
    proxy_error = "http_request_denied"


class ForeignOrigin(Refusal):
    """A request that changes something came with a cookie but without our origin or its token."""

    code = "GW111"
    status = 403
    title = "Demande refusée"
    said = "Cette demande ne vient pas d'une page de Cafpro."
    proxy_error = "http_request_denied"


class ProfileNotHeld(Refusal):
    """Log-in with a profile the account does not hold, or with none where it holds several."""

    code = "GW112"
    status = 422
    title = "Profil à préciser"
    said = "Indiquez l'un des profils attribués à votre compte."


class HeldElsewhere(Refusal):
    """Whoever comes with a token of an identity provider asks to log out, or for its sessions: the token is good until
    its end, and nothing here can change that."""

    code = "GW113"
    status = 409
    title = "Session tenue ailleurs"
    said = "Votre session est tenue par votre organisme : c'est auprès de lui qu'elle se termine."


class ActivationRefused(Refusal):
    """One answer for a link that is unknown, used, replaced, void or expired."""

    code = "GW114"
    status = 403
    title = "Lien d'activation refusé"
    said = "Ce lien d'activation n'est pas ou plus valable. Demandez-en un autre à votre correspondant Cafpro."
    proxy_error = "http_request_denied"


class PasswordWeak(Refusal):
    """A password that may not be chosen (CNIL 2022-100)."""

    code = "GW115"
    status = 422
    title = "Mot de passe trop simple"
    said = (
        "Ce mot de passe ne convient pas. Choisissez-le plus long, ou mêlez minuscules, majuscules, chiffres et "
        "signes, sans dépasser 128 caractères."
    )


class PasswordGuessable(Refusal):
    """A password that is among the first to be tried, or holds the account's names."""

    code = "GW116"
    status = 422
    title = "Mot de passe trop courant"
    said = (
        "Ce mot de passe fait partie des premiers essayés, ou contient votre identifiant ou le nom de votre organisme. "
        "Choisissez-en un autre, par exemple quatre mots sans rapport entre eux."
    )


class NoPlaceLeft(Refusal):
    """A log-in that is good in all else, of an account that has as many sessions as it may have, where the settings end
    none of them for another. Said to nobody who has not proved everything that is asked."""

    code = "GW118"
    status = 409
    title = "Trop de sessions ouvertes"
    said = (
        "Vous avez déjà autant de sessions ouvertes que votre compte en permet. Fermez-en une sur l'appareil où elle "
        "est ouverte, ou adressez-vous à votre correspondant Cafpro."
    )


class NoSuchSession(Refusal):
    """A session is to end that is none of the agent's own. One answer, whether or not it is somebody else's."""

    code = "GW119"
    status = 404
    title = "Session inconnue"
    said = "Aucune de vos sessions ouvertes ne porte cet identifiant."


class NotDelegated(Refusal):
    """Agents are managed by someone who has no delegation for it. Said before anything is looked up."""

    code = "GW123"
    status = 403
    title = "Délégation nécessaire"
    said = "Cette adresse est réservée aux administrateurs que la Caf a délégués dans votre organisme."
    proxy_error = "http_request_denied"


class DelegatesAccount(Refusal):
    """A delegated administrator would change another one."""

    code = "GW124"
    status = 403
    title = "Compte d'un administrateur"
    said = "Le compte d'un administrateur délégué ne peut être changé que par la Caf."
    proxy_error = "http_request_denied"


class EngagementOther(Refusal):
    """An engagement is accepted that is not, or no longer, the one in force."""

    code = "GW117"
    status = 409
    title = "Engagement modifié"
    said = "Le texte de l'engagement personnel n'est plus celui que vous avez lu. Relisez-le avant de l'accepter."


class NotStaff(Refusal):
    """The directory is asked for by someone who does not run it. Said before anything is looked up."""

    code = "GW120"
    status = 403
    title = "Réservé à la Caf"
    said = "Cette adresse est réservée aux personnes de la Caf qui gèrent Cafpro."
    proxy_error = "http_request_denied"


class OwnAccount(Refusal):
    """Nobody changes the account with which they ask."""

    code = "GW121"
    status = 403
    title = "Compte personnel"
    said = "Votre propre compte ne peut être changé que par une autre personne."
    proxy_error = "http_request_denied"


class StaffAccount(Refusal):
    """What would let one person of the Caf be two: an account of its staff made, opened again or given another
    password."""

    code = "GW122"
    status = 403
    title = "Compte de gestion"
    said = "Un compte qui gère Cafpro ne peut être ouvert ni rouvert à cette adresse, mais sur le serveur seulement."
    proxy_error = "http_request_denied"


class LogInNotBegun(Unauthenticated):
    """Someone comes back from an OpenID provider who was not sent there from this browser, or not lately, or has come
    back already."""

    code = "GW140"
    title = "Connexion à recommencer"
    said = "Cette connexion n'a pas été commencée dans ce navigateur, ou elle est trop ancienne. Recommencez-la."


class NotVouchedFor(Unauthenticated):
    """What an OpenID provider says names no account of ours that it may name. One answer for an account that does not
    exist, is suspended or closed, or is another partner's; for a token that is not good; and where it vouches for
    nobody."""

    code = "GW141"
    title = "Connexion refusée"
    said = "Votre organisme n'a pas confirmé une identité qui ouvre Cafpro."


class ProviderAway(Refusal):
    """The OpenID provider does not answer in time, or answers something else."""

    code = "GW142"
    status = 503
    title = "Service d'identité indisponible"
    said = "Le service d'identité de votre organisme ne répond pas comme prévu. Recommencez plus tard."
    proxy_error = "destination_unavailable"


class LogOutNotBegun(Refusal):
    """Someone comes back from the end of a session at an OpenID provider who was not sent there from this browser, or
    not lately, or has come back already: nobody is told to be logged out who may not be."""

    code = "GW143"
    status = 400
    title = "Déconnexion non reconnue"
    said = "Cette déconnexion n'a pas été demandée dans ce navigateur, ou elle est trop ancienne. Recommencez-la."


class SecondFactorMissing(Refusal):
    """Agents of this kind of partner do nothing with a password alone, but take up a second factor."""

    code = "GW131"
    status = 403
    title = "Double authentification requise"
    said = "Activez la double authentification, puis connectez-vous de nouveau avec un code."
    proxy_error = "http_request_denied"


class SecondFactorState(Refusal):
    """A step towards a second factor, or away from it, that does not follow from where the agent stands."""

    code = "GW132"
    status = 409
    title = "Étape impossible"
    said = "Cette étape n'est pas possible dans l'état actuel de votre double authentification."


class WrongProof(Refusal):
    """An agent with a session was asked for the password or a code once more, and one of them is wrong. Which, and
    whether the account is locked, is not told."""

    code = "GW133"
    status = 422
    title = "Mot de passe ou code incorrect"
    said = "Le mot de passe ou le code est incorrect."


class BadRequest(Refusal):
    code = "GW201"
    status = 400
    title = "Demande non comprise"
    said = "La demande n'est pas écrite comme Cafpro l'attend."


class UndeclaredParameter(Refusal):
    code = "GW202"
    status = 400
    title = "Paramètre inconnu"
    said = "La demande contient un paramètre que cette adresse n'accepte pas."


class NoSuchRoute(Refusal):
    code = "GW203"
    status = 404
    title = "Adresse inconnue"
    said = "Cette adresse n'existe pas dans Cafpro."


class MethodNotAllowed(Refusal):
    code = "GW204"
    status = 405
    title = "Méthode refusée"
    said = "Cette adresse n'accepte pas cette méthode."

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__("", [("Allow", ", ".join(allowed))])


class BodyTooLarge(Refusal):
    code = "GW205"
    status = 413
    title = "Demande trop volumineuse"
    said = "Le contenu envoyé dépasse ce que cette adresse accepte."


class UnsupportedBody(Refusal):
    code = "GW206"
    status = 415
    title = "Type de contenu refusé"
    said = "Le contenu envoyé n'est pas d'un type que cette adresse accepte."


class MalformedNumber(Refusal):
    code = "GW207"
    status = 422
    title = "Numéro allocataire incorrect"
    said = "Un numéro allocataire s'écrit avec sept chiffres."


class BodyLate(Refusal):
    code = "GW208"
    status = 408
    title = "Demande incomplète"
    said = "Le contenu annoncé n'est pas arrivé à temps."
    proxy_error = "connection_read_timeout"


class Busy(Refusal):
    code = "GW209"
    status = 503
    title = "Service momentanément occupé"
    said = "Trop de demandes arrivent en même temps. Réessayez dans quelques secondes."
    proxy_error = "proxy_internal_response"

    def __init__(self, because: str = "") -> None:
        super().__init__(because, [("Retry-After", "2")])


class TooManyRequests(Refusal):
    """More requests than one agent, or one address, may send."""

    code = "GW210"
    status = 429
    title = "Trop de demandes"
    said = "Vous envoyez trop de demandes en peu de temps. Patientez quelques instants."
    proxy_error = "http_request_denied"

    def __init__(self, because: str, *, seconds: int, recorded: bool = True) -> None:
        """`seconds` until there is room for another one."""
        super().__init__(because, [("Retry-After", str(seconds))])
        self.recorded = recorded


class DirectoryRefused(Refusal):
    """A change of the directory, or a question to it, that cannot be. `said` are the sentences of what is wrong."""

    def __init__(self, said: Sequence[str] = ()) -> None:
        super().__init__("what the directory does not take")
        if said:
            self.said = " ".join(said)


class EntryRefused(DirectoryRefused):
    """Something that can never be entered."""

    code = "GW221"
    status = 422
    title = "Valeur refusée"
    said = "Une valeur de la demande n'est pas acceptable."


class NoSuchEntry(DirectoryRefused):
    """What is named is not in the directory. Told to those only who may read all of it."""

    code = "GW222"
    status = 404
    title = "Inconnu de l'annuaire"
    said = "L'annuaire ne contient pas ce que la demande désigne."


class EntryConflicts(DirectoryRefused):
    """As the directory is now, this cannot be."""

    code = "GW223"
    status = 409
    title = "Incompatible avec l'annuaire"
    said = "L'état actuel de l'annuaire ne permet pas ce changement."


class FileRefused(DirectoryRefused):
    """A file of entries with something wrong on some of its lines: nothing of it is entered."""

    code = "GW224"
    status = 422
    title = "Fichier refusé"
    said = "Le fichier contient des problèmes : rien n'est enregistré."

    def __init__(self, said: Sequence[str] = (), more: Mapping[str, object] | None = None) -> None:
        """`more` lists what is wrong."""
        super().__init__(said)
        self.more = more or {}


class NotOpen(Refusal):
    """The facts are in order and yet nothing of what is asked is open to this profile."""

    code = "GW301"
    status = 403
    title = "Accès non ouvert"
    said = "Cette information n'est pas ouverte à votre profil."
    proxy_error = "http_request_denied"


class ConventionAbsent(NotOpen):
    code = "GW311"
    title = "Convention absente"
    said = "Aucune convention de votre organisme n'ouvre ce profil."


class ConventionSuspended(NotOpen):
    code = "GW312"
    title = "Convention suspendue"
    said = "La convention de votre organisme est suspendue."


class ConventionExpired(NotOpen):
    code = "GW313"
    title = "Convention échue"
    said = "La convention de votre organisme est échue."


class EngagementMissing(NotOpen):
    code = "GW314"
    title = "Engagement à signer"
    said = "Vous devez accepter l'engagement personnel avant de consulter un dossier."


class EngagementOutdated(NotOpen):
    code = "GW315"
    title = "Engagement à renouveler"
    said = "Le texte de l'engagement personnel a changé. Vous devez l'accepter de nouveau."


class AssuranceTooLow(NotOpen):
    code = "GW316"
    title = "Connexion insuffisante"
    said = "Cette consultation demande une connexion renforcée."


class NotEntrusted(NotOpen):
    """No mandate on this dossier."""

    code = "GW320"
    title = "Dossier non accessible"
    said = "Ce dossier ne vous est pas accessible."


class Objected(NotEntrusted):
    """The person objected to sharing. Outwardly nothing tells it from a missing mandate."""

    code = "GW321"
    shown = NotEntrusted.code


class NoSuchDossier(Refusal):
    """The backend has nothing there, and the agent may know it."""

    code = "GW401"
    status = 404
    title = "Dossier introuvable"
    said = "Aucun document ne correspond à cette demande."


class UpstreamUnreachable(Refusal):
    code = "GW402"
    status = 502
    title = "Service des dossiers injoignable"
    said = "Le service des dossiers ne répond pas. Réessayez plus tard."
    proxy_error = "destination_unavailable"


class UpstreamNotUnderstood(Refusal):
    """The backend's answer is not what the route table declares: nothing of it is passed on."""

    code = "GW403"
    status = 502
    title = "Réponse du service des dossiers non comprise"
    said = "La réponse du service des dossiers n'a pas pu être vérifiée ; elle n'est pas transmise."
    proxy_error = "http_protocol_error"


class UpstreamLate(Refusal):
    code = "GW404"
    status = 504
    title = "Service des dossiers trop lent"
    said = "Le service des dossiers n'a pas répondu à temps. Réessayez plus tard."
    proxy_error = "http_response_timeout"


class UpstreamResting(Refusal):
    """The backend failed too often in a row: for some seconds it is not asked at all."""

    code = "GW405"
    status = 503
    title = "Service des dossiers injoignable"
    said = "Le service des dossiers ne répond pas. Réessayez dans quelques secondes."
    proxy_error = "destination_unavailable"

    def __init__(self, because: str, *, seconds: int) -> None:
        """`seconds` until it is asked again."""
        super().__init__(because, [("Retry-After", str(seconds))])


class PolicyUnavailable(Refusal):
    code = "GW501"
    status = 503
    title = "Règles d'accès indisponibles"
    said = "Les règles d'accès ne peuvent pas être appliquées pour le moment."
    proxy_error = "proxy_internal_error"


class StoreUnavailable(Refusal):
    code = "GW502"
    status = 503
    title = "Annuaire indisponible"
    said = "L'annuaire des comptes est momentanément indisponible."
    proxy_error = "proxy_internal_error"


class RecordUnavailable(Refusal):
    code = "GW503"
    status = 503
    title = "Journal indisponible"
    said = "La consultation ne peut pas être enregistrée ; elle n'est donc pas possible."
    proxy_error = "proxy_internal_error"


class Fault(Refusal):
    """A defect of the gateway itself."""

    code = "GW500"
    status = 500
    title = "Erreur interne"
    said = "Une erreur interne empêche de répondre. Signalez l'identifiant de la demande."
    proxy_error = "proxy_internal_error"


class Misconfigured(Exception):
    """What an operator or a policy author wrote cannot be used. Holds every problem found, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Absent(Misconfigured):
    """A database is not there, or holds nothing, and whoever asks is not the one to make it."""
