package images

import "github.com/gatehouse-registry/gatehouse/internal/server/db"

// The tables. image_reference says which manifest needs which blob or manifest of
// its repository: a digest in it is neither deleted nor swept. A row of image_blob
// without a row in image_blob_link is garbage.
var migrations = []db.Migration{{Name: "images/001", SQL: `
CREATE TABLE image_repository (
	id {int} NOT NULL PRIMARY KEY, -- random, so that a deleted repository's is not given again
	account {text} NOT NULL, region {text} NOT NULL, name {text} NOT NULL,
	created {int} NOT NULL,
	settings {text} NOT NULL, -- JSON
	policy {text} NOT NULL, -- as it was given, empty for none
	UNIQUE (account, region, name)
);
CREATE TABLE image_blob (
	id {int} NOT NULL PRIMARY KEY,
	account {text} NOT NULL, region {text} NOT NULL, digest {text} NOT NULL,
	size {int} NOT NULL,
	object {text} NOT NULL UNIQUE,
	UNIQUE (account, region, digest)
);
CREATE TABLE image_blob_link (
	repository {int} NOT NULL REFERENCES image_repository (id),
	digest {text} NOT NULL,
	blob {int} NOT NULL REFERENCES image_blob (id),
	renewed {int} NOT NULL, -- when it was last promised to somebody
	PRIMARY KEY (repository, digest)
);
CREATE INDEX image_blob_link_blob ON image_blob_link (blob);
CREATE INDEX image_blob_link_renewed ON image_blob_link (renewed);
CREATE TABLE image_manifest (
	repository {int} NOT NULL REFERENCES image_repository (id),
	digest {text} NOT NULL,
	media_type {text} NOT NULL, artifact_type {text} NOT NULL, subject {text} NOT NULL,
	annotations {text} NOT NULL, -- JSON, empty for none
	size {int} NOT NULL,
	pushed {int} NOT NULL,
	body {bytes} NOT NULL,
	PRIMARY KEY (repository, digest)
);
CREATE INDEX image_manifest_subject ON image_manifest (repository, subject, digest) WHERE subject <> '';
CREATE TABLE image_reference (
	repository {int} NOT NULL, digest {text} NOT NULL, manifest {text} NOT NULL,
	PRIMARY KEY (repository, digest, manifest),
	FOREIGN KEY (repository, manifest) REFERENCES image_manifest (repository, digest)
);
CREATE INDEX image_reference_manifest ON image_reference (repository, manifest);
CREATE TABLE image_tag (
	repository {int} NOT NULL, tag {text} NOT NULL, digest {text} NOT NULL,
	PRIMARY KEY (repository, tag),
	FOREIGN KEY (repository, digest) REFERENCES image_manifest (repository, digest)
);
CREATE INDEX image_tag_digest ON image_tag (repository, digest, tag);
CREATE TABLE image_upload (
	id {text} NOT NULL PRIMARY KEY,
	repository {int} NOT NULL REFERENCES image_repository (id),
	object {text} NOT NULL UNIQUE,
	algorithm {text} NOT NULL,
	size {int} NOT NULL,
	last_part {int} NOT NULL, -- bytes of the last part that the ECR API uploaded
	short_part {int} NOT NULL, -- 1: a part that is not the last is too small
	state {bytes}, -- of the blob store; null before the first byte
	hash {bytes},
	generation {int} NOT NULL,
	updated {int} NOT NULL
);
CREATE INDEX image_upload_repository ON image_upload (repository);
CREATE INDEX image_upload_updated ON image_upload (updated);
`}, {Name: "images/002", SQL: `
-- media_type is that of a descriptor that names the digest.
ALTER TABLE image_reference ADD COLUMN media_type {text} NOT NULL DEFAULT '';
ALTER TABLE image_manifest ADD COLUMN pulled {int} NOT NULL DEFAULT 0; -- see pulls.go
CREATE TABLE image_index_version (version {int} NOT NULL PRIMARY KEY); -- see reindex.go
`}}
