-- The tables that sql.toml is written for.
CREATE EXTENSION pgcrypto;

CREATE TABLE accounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username text NOT NULL,
    email text,
    first_name text,
    last_name text,
    display_name text,
    department text,
    active boolean NOT NULL DEFAULT true,
    password_hash text
);
-- Names and addresses are unique without regard to case, and found so.
CREATE UNIQUE INDEX accounts_username ON accounts (lower(username));
CREATE UNIQUE INDEX accounts_email ON accounts (lower(email));

CREATE TABLE web_sessions (
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    token text NOT NULL
);

CREATE TABLE teams (id text COLLATE "C" PRIMARY KEY, name text NOT NULL);
CREATE TABLE team_members (
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    team_id text NOT NULL REFERENCES teams,
    PRIMARY KEY (account_id, team_id)
);

CREATE TABLE plans (id bigint PRIMARY KEY, name text NOT NULL, seats integer NOT NULL);
CREATE TABLE plan_holders (
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    plan_id bigint NOT NULL REFERENCES plans,
    PRIMARY KEY (account_id, plan_id)
);
