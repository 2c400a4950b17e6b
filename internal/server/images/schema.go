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
`}, {Name: "images/003", SQL: `
-- Lifecycle policies: see lifecycle.go.
CREATE INDEX image_manifest_pushed ON image_manifest (repository, pushed, digest);
CREATE TABLE image_lifecycle (
	repository {int} NOT NULL PRIMARY KEY REFERENCES image_repository (id) ON DELETE CASCADE,
	document {text} NOT NULL, -- as it was given; empty if the default of the registry holds
	revision {text} NOT NULL, -- changes with every change
	evaluated {int} NOT NULL, -- when the last run ended, or 0
	scheduled {int} NOT NULL -- when the last run was put into the queue
);
CREATE INDEX image_lifecycle_scheduled ON image_lifecycle (scheduled);
CREATE TABLE image_lifecycle_default (
	account {text} NOT NULL, region {text} NOT NULL,
	document {text} NOT NULL, revision {text} NOT NULL,
	changed {int} NOT NULL, changed_by {text} NOT NULL,
	PRIMARY KEY (account, region)
);
CREATE TABLE image_lifecycle_run (
	id {text} NOT NULL PRIMARY KEY,
	repository {int} NOT NULL REFERENCES image_repository (id) ON DELETE CASCADE,
	state {text} NOT NULL,
	started_by {text} NOT NULL, -- an ARN; empty if it was scheduled
	created {int} NOT NULL, finished {int} NOT NULL,
	until {int} NOT NULL, -- when what it removed is deleted
	images {int} NOT NULL, removed {int} NOT NULL, restored {int} NOT NULL,
	message {text} NOT NULL
);
CREATE INDEX image_lifecycle_run_created ON image_lifecycle_run (repository, created, id);
CREATE TABLE image_aside ( -- images that a rule removed, with the columns of image_manifest
	repository {int} NOT NULL REFERENCES image_repository (id) ON DELETE CASCADE,
	digest {text} NOT NULL,
	media_type {text} NOT NULL, artifact_type {text} NOT NULL, subject {text} NOT NULL,
	annotations {text} NOT NULL, size {int} NOT NULL, pushed {int} NOT NULL, pulled {int} NOT NULL,
	body {bytes} NOT NULL,
	run {text} NOT NULL,
	number {int} NOT NULL, -- in the order of removal
	priority {int} NOT NULL, -- of the rule; 0 if the image followed its subject
	by_pull {int} NOT NULL, -- 1 if the rule is about the last pull
	since {int} NOT NULL, until {int} NOT NULL,
	PRIMARY KEY (repository, digest)
);
CREATE INDEX image_aside_run ON image_aside (run, number);
CREATE INDEX image_aside_until ON image_aside (until);
CREATE TABLE image_aside_tag (
	repository {int} NOT NULL, digest {text} NOT NULL, tag {text} NOT NULL,
	PRIMARY KEY (repository, digest, tag),
	FOREIGN KEY (repository, digest) REFERENCES image_aside (repository, digest) ON DELETE CASCADE
);
CREATE TABLE image_aside_reference (
	repository {int} NOT NULL, digest {text} NOT NULL, manifest {text} NOT NULL,
	media_type {text} NOT NULL,
	present {int} NOT NULL, -- 1 if the repository had the digest
	PRIMARY KEY (repository, manifest, digest),
	FOREIGN KEY (repository, manifest) REFERENCES image_aside (repository, digest) ON DELETE CASCADE
);
CREATE INDEX image_aside_reference_digest ON image_aside_reference (repository, digest);
CREATE TABLE image_clock (one {int} NOT NULL PRIMARY KEY, noted {int} NOT NULL, since {int} NOT NULL); -- see package steadyclock
CREATE TABLE image_preview ( -- see lifecycle_preview.go
	repository {int} NOT NULL PRIMARY KEY REFERENCES image_repository (id) ON DELETE CASCADE,
	id {text} NOT NULL, document {text} NOT NULL, state {text} NOT NULL,
	started {int} NOT NULL, finished {int} NOT NULL,
	expiring {int} NOT NULL, message {text} NOT NULL
);
CREATE TABLE image_preview_image (
	repository {int} NOT NULL REFERENCES image_preview (repository) ON DELETE CASCADE,
	number {int} NOT NULL,
	digest {text} NOT NULL, tags {text} NOT NULL, -- JSON
	pushed {int} NOT NULL, priority {int} NOT NULL,
	PRIMARY KEY (repository, number)
);
CREATE INDEX image_preview_image_digest ON image_preview_image (repository, digest);
`}, {Name: "images/004", SQL: `
CREATE TABLE image_registry ( -- see registry.go
	account {text} NOT NULL, region {text} NOT NULL,
	settings {text} NOT NULL, -- JSON
	policy {text} NOT NULL, -- empty for none
	PRIMARY KEY (account, region)
);
`}, {Name: "images/replication-001", SQL: `
-- See replication_queue.go. account and region are those of the destination.
CREATE TABLE image_replication (
	repository {int} NOT NULL, digest {text} NOT NULL,
	account {text} NOT NULL, region {text} NOT NULL,
	state {text} NOT NULL,
	code {text} NOT NULL, -- why the last attempt failed, or empty
	since {int} NOT NULL, -- when the image was pushed
	version {int} NOT NULL, -- changes when the image is pushed again
	PRIMARY KEY (repository, digest, account, region),
	FOREIGN KEY (repository, digest) REFERENCES image_manifest (repository, digest) ON DELETE CASCADE
);
CREATE INDEX image_replication_waiting ON image_replication (repository, account, region, since, digest) WHERE state = 'waiting';
CREATE TABLE image_replication_removal (
	repository {int} NOT NULL REFERENCES image_repository (id) ON DELETE CASCADE,
	account {text} NOT NULL, region {text} NOT NULL,
	digest {text} NOT NULL,
	tag {text} NOT NULL, -- empty: the image
	since {int} NOT NULL,
	PRIMARY KEY (repository, account, region, digest, tag)
);
`}, {Name: "images/replication-002", SQL: `
-- See replication_backfill.go. account and region are those of the source.
CREATE TABLE image_backfill (
	id {text} NOT NULL PRIMARY KEY,
	account {text} NOT NULL, region {text} NOT NULL,
	to_account {text} NOT NULL, to_region {text} NOT NULL,
	state {text} NOT NULL,
	started {int} NOT NULL, ended {int} NOT NULL, -- 0 until then
	prepared {int} NOT NULL, -- 1 if total is known
	total {int} NOT NULL, completed {int} NOT NULL, failed {int} NOT NULL,
	codes {text} NOT NULL -- of failures, JSON
);
CREATE INDEX image_backfill_registry ON image_backfill (account, region, started, id);
CREATE TABLE image_backfill_image (
	backfill {text} NOT NULL REFERENCES image_backfill (id) ON DELETE CASCADE,
	name {text} NOT NULL, -- of the repository
	digest {text} NOT NULL,
	tag {text} NOT NULL, -- empty if the image has none
	state {text} NOT NULL, -- empty until it has a result
	code {text} NOT NULL,
	PRIMARY KEY (backfill, name, digest, tag)
);
CREATE INDEX image_backfill_image_waiting ON image_backfill_image (backfill, name, digest) WHERE state = '';
`}, {Name: "images/pullthrough-001", SQL: `
CREATE TABLE image_upstream_tag ( -- see pullthrough.go
	repository {int} NOT NULL REFERENCES image_repository (id) ON DELETE CASCADE,
	tag {text} NOT NULL,
	checked {int} NOT NULL, -- when it was last compared with the upstream registry
	PRIMARY KEY (repository, tag)
);
`}, {Name: "images/archive-001", SQL: `
-- See storageclass.go.
ALTER TABLE image_manifest ADD COLUMN status {text} NOT NULL DEFAULT 'ACTIVE';
ALTER TABLE image_manifest ADD COLUMN archived {int} NOT NULL DEFAULT 0; -- when it was last archived
ALTER TABLE image_manifest ADD COLUMN activated {int} NOT NULL DEFAULT 0; -- when it was last restored
ALTER TABLE image_manifest ADD COLUMN age_from {int} NOT NULL DEFAULT 0; -- when its age for lifecycle rules begins
UPDATE image_manifest SET age_from = pushed;
DROP INDEX image_manifest_pushed;
CREATE INDEX image_manifest_age ON image_manifest (repository, age_from, digest);
CREATE INDEX image_manifest_inactive ON image_manifest (repository, digest) WHERE status <> 'ACTIVE';
ALTER TABLE image_aside ADD COLUMN status {text} NOT NULL DEFAULT 'ACTIVE';
ALTER TABLE image_aside ADD COLUMN archived {int} NOT NULL DEFAULT 0;
ALTER TABLE image_aside ADD COLUMN activated {int} NOT NULL DEFAULT 0;
ALTER TABLE image_aside ADD COLUMN age_from {int} NOT NULL DEFAULT 0;
UPDATE image_aside SET age_from = pushed;
ALTER TABLE image_lifecycle_run ADD COLUMN archived {int} NOT NULL DEFAULT 0;
ALTER TABLE image_preview ADD COLUMN transitioning {int} NOT NULL DEFAULT 0;
ALTER TABLE image_preview_image ADD COLUMN action {text} NOT NULL DEFAULT 'expire';
ALTER TABLE image_preview_image ADD COLUMN class {text} NOT NULL DEFAULT 'standard';
`}, {Name: "images/scan-001", SQL: `
CREATE TABLE image_scan ( -- see scan.go
	repository {int} NOT NULL, digest {text} NOT NULL,
	account {text} NOT NULL, region {text} NOT NULL,
	state {text} NOT NULL,
	reason {text} NOT NULL, -- for people
	requested {int} NOT NULL,
	completed {int} NOT NULL, -- 0 until then
	version {int} NOT NULL, -- changes with every request
	counts {text} NOT NULL, -- JSON: how many findings of each severity; empty if there is no inventory
	seen {bytes}, -- when each finding was seen first
	inventory {bytes},
	PRIMARY KEY (repository, digest),
	FOREIGN KEY (repository, digest) REFERENCES image_manifest (repository, digest) ON DELETE CASCADE
);
CREATE INDEX image_scan_registry ON image_scan (account, region, requested);
`}, {Name: "images/signing-001", SQL: `
CREATE TABLE image_signing ( -- see signing.go
	repository {int} NOT NULL, digest {text} NOT NULL,
	profile {text} NOT NULL, -- an ARN
	state {text} NOT NULL,
	code {text} NOT NULL, reason {text} NOT NULL, -- why it failed, or empty
	pusher {text} NOT NULL, -- whose permission counted, an ARN
	since {int} NOT NULL,
	PRIMARY KEY (repository, digest, profile),
	FOREIGN KEY (repository, digest) REFERENCES image_manifest (repository, digest) ON DELETE CASCADE
);
`}, {Name: "images/signing-002", SQL: `
CREATE TABLE image_signer ( -- see admission.go
	repository {int} NOT NULL,
	subject {text} NOT NULL, signature {text} NOT NULL, -- digests
	signer {text} NOT NULL,
	expires {int} NOT NULL, -- or 0
	PRIMARY KEY (repository, signature, signer),
	FOREIGN KEY (repository, signature) REFERENCES image_manifest (repository, digest) ON DELETE CASCADE
);
CREATE INDEX image_signer_subject ON image_signer (repository, subject);
`}, {Name: "images/trusted-time-001", SQL: `
ALTER TABLE image_clock ADD COLUMN trusted {int} NOT NULL DEFAULT 0; -- see package steadyclock
`}}
