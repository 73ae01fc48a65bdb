# The profiles of the brochure (July 2012), with its own words, shortened.
# T7 and T15 do not exist in it: an account that bears them opens nothing.

profile("T1",  "Agents administratifs et travailleurs sociaux de la Caf et de ses partenaires du service social");
profile("T2",  "Prestataires d'action sociale : participation financière des familles, prestations de service");
profile("T3",  "Prestataires d'action sociale : participation financière des familles, aides aux vacances");
profile("T4",  "Agents des organismes instructeurs du Rsa/Rmi");
profile("T5",  "Agents chargés du suivi des dossiers Rsa/Rmi, habilités par le président du Conseil général");
profile("T6",  "Agents des Cpm : ouverture et maintien des droits à l'assurance maladie, Cmu et Cmuc");
profile("T8",  "Agents des régimes particuliers d'assurance maladie (Rsi, Msa, Enim, Cnmss, Crpcen)");
profile("T9",  "Tuteurs, curateurs et délégués, pour les dossiers confiés par jugement ou au titre d'une Masp");
profile("T10", "Bailleurs sociaux bénéficiaires de tiers payants");
profile("T11", "Agents des commissions de surendettement chargés d'instruire les dossiers");
profile("T12", "Greffiers des bureaux d'aide juridictionnelle et agents remplissant cette fonction");
profile("T13", "Agents chargés de l'instruction des dossiers Fsl et de la gestion des fonds");
profile("T14", "Agents de la Caisse des dépôts et de l'Enim : pensions de réversion et d'orphelins");
profile("T16", "Agents de l'instruction des recours devant la commission de médiation (logement opposable)");
