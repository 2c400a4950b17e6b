package signing

import "github.com/gatehouse-registry/gatehouse/internal/server/db"

// Migrations returns the schema of this package.
func Migrations() []db.Migration {
	return []db.Migration{{Name: "signing/001", SQL: `
CREATE TABLE signing_root (
	account {text} NOT NULL PRIMARY KEY,
	certificate {bytes} NOT NULL, -- DER
	sealed {bytes} NOT NULL, -- the key, by the keyring
	sealed_by {text} NOT NULL -- the id of the key of the keyring
);
CREATE TABLE signing_profile (
	arn {text} NOT NULL PRIMARY KEY,
	account {text} NOT NULL, region {text} NOT NULL, name {text} NOT NULL,
	version {text} NOT NULL,
	validity {int} NOT NULL, unit {text} NOT NULL, -- of signatures
	status {text} NOT NULL,
	tags {text} NOT NULL, -- JSON
	UNIQUE (account, region, name)
);
CREATE TABLE signing_key (
	profile {text} NOT NULL REFERENCES signing_profile (arn),
	serial {text} NOT NULL, -- of the certificate
	version {text} NOT NULL, -- of the profile
	certificate {bytes} NOT NULL,
	sealed {bytes} NOT NULL,
	sealed_by {text} NOT NULL,
	created {int} NOT NULL,
	PRIMARY KEY (profile, serial)
);
`}}
}
