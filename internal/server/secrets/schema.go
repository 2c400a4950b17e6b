package secrets

import "github.com/gatehouse-registry/gatehouse/internal/server/db"

// Migrations returns the schema of this package.
func Migrations() []db.Migration {
	return []db.Migration{{Name: "secrets/001", SQL: `
CREATE TABLE secret (
	id {int} NOT NULL PRIMARY KEY, -- random
	account {text} NOT NULL, region {text} NOT NULL, name {text} NOT NULL,
	arn {text} NOT NULL UNIQUE,
	description {text} NOT NULL, kms_key {text} NOT NULL,
	tags {text} NOT NULL, -- JSON
	created {int} NOT NULL, changed {int} NOT NULL,
	accessed {int} NOT NULL, -- the day on which it was read last, or 0
	deleted {int} NOT NULL, -- when it was marked for deletion, or 0
	until {int} NOT NULL, -- when it is deleted, if it is marked
	UNIQUE (account, region, name)
);
CREATE INDEX secret_until ON secret (until);
CREATE TABLE secret_version (
	secret {int} NOT NULL REFERENCES secret (id) ON DELETE CASCADE,
	id {text} NOT NULL,
	stages {text} NOT NULL, -- JSON
	is_binary {int} NOT NULL, -- 1: SecretBinary
	sealed {bytes} NOT NULL, -- by the keyring
	sealed_by {text} NOT NULL, -- the id of the key
	created {int} NOT NULL,
	PRIMARY KEY (secret, id)
);
CREATE INDEX secret_version_sealed_by ON secret_version (sealed_by);
`}}
}
