# What the table means. Developers' file. The one `not` of the whole folder stands here.

# The agent's own standing, whatever the dossier.
standing(agent: Agent, action: String, labels) if
  convention(agent, in_force) and
  engagement(agent, signed) and
  assurance(agent, action, proved) and
  labels = [in_force, signed, proved];

# The agent before one dossier.
admitted(agent: Agent, action: String, dossier: Dossier, labels) if
  standing(agent, action, own) and
  entrusted(agent, dossier, reason) and
  not refusal(agent, dossier, _) and
  labels = [own, reason];

# One rubric of one dossier, and why. The only rule that opens anything.
opens(agent: Agent, "consult", dossier: Dossier, slug: String, rules) if
  admitted(agent, "consult", dossier, labels) and
  agent.profile = profile and
  rubric(slug, _, profiles, source) and
  profile in profiles and
  rules = [source, labels];

allow_request(agent: Agent, action: String) if standing(agent, action, _);
allow(agent: Agent, action: String, dossier: Dossier) if admitted(agent, action, dossier, _);
allow_field(agent: Agent, action: String, dossier: Dossier, slug: String) if
  opens(agent, action, dossier, slug, _);
