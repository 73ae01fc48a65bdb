-- A store as the first version made it, before revisions; two partners, two agents.
CREATE TABLE objection (
    id SERIAL NOT NULL,
    dossier VARCHAR(7) NOT NULL,
    raised_at BIGINT NOT NULL,
    lifted_at BIGINT,
    reference TEXT NOT NULL,
    CONSTRAINT pk_objection PRIMARY KEY (id)
);
CREATE INDEX ix_objection_dossier ON objection (dossier);
CREATE TABLE partner (
    id SERIAL NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    CONSTRAINT pk_partner PRIMARY KEY (id),
    CONSTRAINT uq_partner_name UNIQUE (name)
);
CREATE TABLE account (
    id SERIAL NOT NULL,
    identifier TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    partner_id INTEGER NOT NULL,
    profiles TEXT NOT NULL,
    engagement_version TEXT,
    engagement_signed_at BIGINT,
    suspended BOOLEAN NOT NULL,
    CONSTRAINT pk_account PRIMARY KEY (id),
    CONSTRAINT uq_account_identifier UNIQUE (identifier),
    CONSTRAINT fk_account_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id)
);
CREATE INDEX ix_account_partner_id ON account (partner_id);
CREATE TABLE convention (
    id SERIAL NOT NULL,
    partner_id INTEGER NOT NULL,
    number TEXT NOT NULL,
    caisse VARCHAR(3) NOT NULL,
    starts_on DATE NOT NULL,
    ends_on DATE NOT NULL,
    suspended BOOLEAN NOT NULL,
    profiles TEXT NOT NULL,
    CONSTRAINT pk_convention PRIMARY KEY (id),
    CONSTRAINT fk_convention_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id),
    CONSTRAINT uq_convention_number UNIQUE (number)
);
CREATE INDEX ix_convention_partner_id ON convention (partner_id);
CREATE TABLE failure (
    account_id INTEGER NOT NULL,
    in_a_row INTEGER NOT NULL,
    locked_at BIGINT,
    CONSTRAINT pk_failure PRIMARY KEY (account_id),
    CONSTRAINT fk_failure_account_id FOREIGN KEY(account_id) REFERENCES account (id)
);
CREATE TABLE mandate (
    id SERIAL NOT NULL,
    dossier VARCHAR(7) NOT NULL,
    kind TEXT NOT NULL,
    partner_id INTEGER NOT NULL,
    account_id INTEGER,
    starts_on DATE NOT NULL,
    ends_on DATE,
    reference TEXT NOT NULL,
    released_at BIGINT,
    CONSTRAINT pk_mandate PRIMARY KEY (id),
    CONSTRAINT fk_mandate_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id),
    CONSTRAINT fk_mandate_account_id FOREIGN KEY(account_id) REFERENCES account (id)
);
CREATE INDEX ix_mandate_account_id ON mandate (account_id);
CREATE INDEX ix_mandate_dossier_partner_id ON mandate (dossier, partner_id);
CREATE INDEX ix_mandate_partner_id ON mandate (partner_id);
CREATE TABLE session (
    token_hash VARCHAR(64) NOT NULL,
    account_id INTEGER NOT NULL,
    profile TEXT NOT NULL,
    assurance TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT pk_session PRIMARY KEY (token_hash),
    CONSTRAINT fk_session_account_id FOREIGN KEY(account_id) REFERENCES account (id)
);
CREATE INDEX ix_session_account_id ON session (account_id);
CREATE INDEX ix_session_expires_at ON session (expires_at);
INSERT INTO partner (id, name, kind) VALUES (1, 'CCAS de Lyon', 'external');
INSERT INTO partner (id, name, kind) VALUES (2, 'Département du Rhône', 'external');
INSERT INTO convention (id, partner_id, number, caisse, starts_on, ends_on, suspended, profiles) VALUES (1, 1, '2026-014', '691', '2026-01-01', '2028-12-31', false, 'T1 T9');
INSERT INTO account (id, identifier, password_hash, partner_id, profiles, engagement_version, engagement_signed_at, suspended) VALUES (1, 'm.martin', '$argon2id$v=19$m=19456,t=2,p=1$JmxLJSpunwGfFfxJf11ZrA$lHY/9/8xQAf1ZXv8/AnUakES5w4noVlvcnUpazIZTZw', 1, 'T9', '2012-07', 1781517600, false);
INSERT INTO account (id, identifier, password_hash, partner_id, profiles, engagement_version, engagement_signed_at, suspended) VALUES (2, 'a.durand', '$argon2id$v=19$m=19456,t=2,p=1$JmxLJSpunwGfFfxJf11ZrA$lHY/9/8xQAf1ZXv8/AnUakES5w4noVlvcnUpazIZTZw', 2, '', NULL, NULL, true);
INSERT INTO failure (account_id, in_a_row, locked_at) VALUES (2, 10, 1781517600);
INSERT INTO mandate (id, dossier, kind, partner_id, account_id, starts_on, ends_on, reference, released_at) VALUES (1, '9990001', 'judgment', 1, 1, '2026-01-01', NULL, 'TJ Lyon 26/17', NULL);
INSERT INTO mandate (id, dossier, kind, partner_id, account_id, starts_on, ends_on, reference, released_at) VALUES (2, '0000002', 'masp', 1, NULL, '2026-01-01', '2026-06-30', 'Masp', 1781517600);
INSERT INTO objection (id, dossier, raised_at, lifted_at, reference) VALUES (1, '0000002', 1781517600, NULL, 'letter');
INSERT INTO session (token_hash, account_id, profile, assurance, opened_at, seen_at, expires_at) VALUES ('0000000000000000000000000000000000000000000000000000000000000000', 1, 'T9', 'password', 1781517600, 1781517600, 1781546400);
SELECT setval('partner_id_seq', 2);
SELECT setval('convention_id_seq', 1);
SELECT setval('account_id_seq', 2);
SELECT setval('mandate_id_seq', 2);
SELECT setval('objection_id_seq', 1);
