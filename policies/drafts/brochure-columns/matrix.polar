# Who sees what: the table of the brochure, one line for each of its rows, in its order.
#
#       rubric        label                     profiles that see it                    where it comes from

rubric("paiement",    "Paiement",    ["T1", "T9", "T10", "T11", "T12", "T13"],                            "brochure 2012, row 1");
rubric("dossier",     "Dossier",     ["T1", "T9", "T10", "T11", "T12", "T13", "T14", "T16"],              "brochure 2012, row 2");
rubric("famille",     "Famille",     ["T1", "T4", "T5", "T9", "T11", "T12", "T13", "T14", "T16"],         "brochure 2012, row 3");
rubric("enfants",     "Enfants",     ["T2", "T3"],                                                        "brochure 2012, row 4");
rubric("droits",      "Droits",      ["T1", "T4", "T5", "T9", "T10", "T11", "T13", "T14", "T16"],         "brochure 2012, row 5");
rubric("logement",    "Logement",    ["T1", "T9", "T10", "T11", "T13", "T16"],                            "brochure 2012, row 6");
rubric("rmi_api",     "Rmi - Api",   ["T1", "T4", "T5", "T9"],                                            "brochure 2012, row 7");
rubric("rsa",         "Rsa",         ["T1", "T4", "T5", "T9", "T12"],                                     "brochure 2012, row 8");
rubric("ressources",  "Ressources",  ["T1", "T4", "T5", "T9", "T10", "T12", "T13", "T16"],                "brochure 2012, row 9");
rubric("creances",    "Créances",    ["T1", "T9", "T11", "T13"],                                          "brochure 2012, row 10");
rubric("qf_cnaf",     "Qf Cnaf",     ["T2"],                                                              "brochure 2012, row 11");
rubric("qf_caf",      "QF Caf",      ["T3"],                                                              "brochure 2012, row 12");
rubric("maladie_maternite_affiliation", "Maladie maternité Affiliation", ["T6"],                          "proposed: brochure 2012, text of T6 (its row 13 has T8)");
rubric("cmu_rsa_rmi", "Cmu Rsa socle ou Rmi", ["T6", "T8"],                                               "proposed: brochure 2012, texts of T6 and T8 (its row 14 has T5 and T6)");
rubric("cmuc_ressources", "Cmuc Ressources", ["T6", "T8"],                                                "brochure 2012, row 15");
rubric("residence",   "Résidence",   ["T6"],                                                              "brochure 2012, row 16");
rubric("adresse",     "Adresse",     ["T1", "T2", "T3", "T4", "T5", "T6", "T8", "T9", "T10", "T11", "T12", "T13", "T14", "T16"], "brochure 2012, row 17");
rubric("attestation_paiement", "Attestation de paiement", ["T1", "T9"],                                   "brochure 2012, row 18");
rubric("courrier",    "Courrier",    ["T1", "T9", "T13"],                                                 "brochure 2012, row 19");
rubric("declaration_ressources", "Déclaration de ressources", ["T9"],                                     "brochure 2012, row 20");
