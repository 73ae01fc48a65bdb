# The shapes. Developers' file.
#
# Every rule of this folder must have one of these shapes, and no other rule may exist: a misspelt
# rule name is refused because it is not here.

type profile(code: String, label: String);
type rubric(slug: String, label: String, profiles: List, source: String);
type rubric_slugs(slugs: List);

type convention(agent: Agent, label);
type engagement(agent: Agent, label);
type assurance(agent: Agent, action: String, label);
type dossiers(profile: String, kinds: List, source: String);
type entrusted(agent: Agent, dossier: Dossier, label);

type refusal(agent: Agent, dossier: Dossier, label);

type standing(agent: Agent, action: String, labels);
type admitted(agent: Agent, action: String, dossier: Dossier, labels);
type opens(agent: Agent, action: String, dossier: Dossier, slug: String, rules);
type allow_request(agent: Agent, action: String);
type allow(agent: Agent, action: String, dossier: Dossier);
type allow_field(agent: Agent, action: String, dossier: Dossier, slug: String);

# The rubrics that exist. A new row of matrix.polar names one of these; a word that is not here is refused.
rubric_slugs([
  "paiement", "dossier", "famille", "enfants", "droits", "logement", "rmi_api", "rsa", "ressources", "creances",
  "qf_cnaf", "qf_caf", "maladie_maternite_affiliation", "cmu_rsa_rmi", "cmuc_ressources", "residence", "adresse",
  "attestation_paiement", "courrier", "declaration_ressources",
]);
