# What must hold before anything of a dossier opens. Positive conditions only: each line says what is
# required, never what is forbidden (that is refusals.polar).

# The convention between the Caf and the partner opens this profile, today.
convention(agent: Agent, "convention in force") if agent.convention = "in_force";

# The agent accepted the personal engagement, in its present wording.
engagement(agent: Agent, "engagement signed") if agent.engagement = "signed";

# How the agent must have proved who it is. To demand a second factor, take "password" off the list.
assurance(agent: Agent, _action: String, "identity proved") if
  agent.assurance in ["password", "second_factor", "federated"];

# Which dossiers: one line for each profile.
#   ["any"]               any dossier
#   ["judgment", "masp"]  only dossiers entrusted to the partner or the agent for one of these reasons
# The reasons that exist: judgment, masp, direct_payment, instruction.
dossiers("T1",  ["any"],              "brochure 2012, profile T1");
dossiers("T2",  ["any"],              "brochure 2012, profile T2");
dossiers("T3",  ["any"],              "brochure 2012, profile T3");
dossiers("T4",  ["any"],              "brochure 2012, profile T4");
dossiers("T5",  ["any"],              "brochure 2012, profile T5");
dossiers("T6",  ["any"],              "brochure 2012, profile T6");
dossiers("T8",  ["any"],              "brochure 2012, profile T8");
dossiers("T9",  ["judgment", "masp"], "brochure 2012, profile T9: entrusted by judgment or under a Masp");
dossiers("T10", ["direct_payment"],   "brochure 2012, profile T10: tenants with third-party payment");
# T11, T12, T13 and T16 act on files they instruct. To demand it, write ["instruction"] instead of ["any"].
dossiers("T11", ["any"],              "brochure 2012, profile T11");
dossiers("T12", ["any"],              "brochure 2012, profile T12");
dossiers("T13", ["any"],              "brochure 2012, profile T13");
dossiers("T14", ["any"],              "brochure 2012, profile T14");
dossiers("T16", ["any"],              "brochure 2012, profile T16");

entrusted(agent: Agent, _dossier: Dossier, "any dossier") if
  dossiers(agent.profile, kinds, _) and "any" in kinds;

entrusted(agent: Agent, dossier: Dossier, kind) if
  dossiers(agent.profile, kinds, _) and kind in kinds and kind in dossier.mandates;
