-- The tables that sql-mariadb.toml is written for. InnoDB: another engine could not roll back.
CREATE TABLE accounts (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,
    username VARCHAR(255) NOT NULL UNIQUE,
    email VARCHAR(255) UNIQUE,
    first_name VARCHAR(255),
    last_name VARCHAR(255),
    display_name VARCHAR(255),
    active BOOLEAN NOT NULL DEFAULT TRUE,
    password_hash VARCHAR(255)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

CREATE TABLE teams (
    id VARCHAR(64) PRIMARY KEY,
    name VARCHAR(255) NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE team_members (
    account_id BIGINT NOT NULL,
    team_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (account_id, team_id),
    CONSTRAINT team_members_account FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE,
    CONSTRAINT team_members_team FOREIGN KEY (team_id) REFERENCES teams (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
