# What closes everything, whatever the table and the conditions say.

# The person refused that the dossier be shared (data-protection authority, 2002).
refusal(agent: Agent, dossier: Dossier, "objection") if
  dossier.objection = "raised" and agent.partner_kind = "external";
