package packages

import "github.com/gatehouse-registry/gatehouse/internal/server/db"

// migrations creates the tables. Ids are random and never used again, so nothing of a
// deleted domain, repository or package can pass to a new one of the same name.
//
// A package's seq grows with every change of the package. A version's changed is the
// seq of the change that last wrote the version, and a package's removed is the seq
// of the last change that removed a version. With them, a cached package is updated
// by reading only what is new.
func migrations() []db.Migration {
	return []db.Migration{{Name: "packages/001-store", SQL: store}, {Name: "packages/002-sidecars", SQL: sidecars}, {Name: "packages/003-groups", SQL: groupTables}, {Name: "packages/004-connections", SQL: connections}, {Name: "packages/005-usage", SQL: usageTable}, {Name: "packages/006-edited", SQL: edited}, {Name: "packages/007-retention-rules", SQL: retentionTables}, {Name: "packages/008-admission", SQL: admissionTable}, {Name: "packages/009-revised", SQL: revised}, {Name: "packages/010-trusted-time", SQL: trustedTime}}
}

// sidecars tells the files about assets from the assets, and keeps the text in which
// searches look. The core metadata of PyPI's files were assets before.
const sidecars = `
ALTER TABLE pkg_asset ADD COLUMN beside {text} NOT NULL DEFAULT ''; -- the asset that a sidecar is about; empty for an asset
UPDATE pkg_asset SET beside = substr(name, 1, length(name) - length('.metadata'))
	WHERE name LIKE '%.metadata' AND package IN (SELECT id FROM pkg_package WHERE format = 'pypi');
ALTER TABLE pkg_package ADD COLUMN search {text} NOT NULL DEFAULT ''; -- lower case
`

// usageTable has the downloads of versions; see usage.go.
const usageTable = `
CREATE TABLE pkg_usage (
	package     {text} NOT NULL,
	version_key {text} NOT NULL,
	downloads   {int} NOT NULL,
	used        {int} NOT NULL, -- when it was last downloaded or asked for
	PRIMARY KEY (package, version_key),
	FOREIGN KEY (package, version_key) REFERENCES pkg_version (package, version_key) ON DELETE CASCADE
);
`

// retentionTables has the retention rules of repositories, their runs, and the versions
// that they have removed and that can be restored; see retentionrules.go.
const retentionTables = `
ALTER TABLE pkg_version ADD COLUMN arrived {int} NOT NULL DEFAULT 0; -- when it came into the repository; 0 if that is not known
CREATE TABLE pkg_retention (
	repository {text} NOT NULL PRIMARY KEY REFERENCES pkg_repository (id) ON DELETE CASCADE,
	document   {text} NOT NULL,
	revision   {text} NOT NULL,
	changed    {int} NOT NULL,
	changed_by {text} NOT NULL,
	scheduled  {int} NOT NULL -- the last scheduled run
);
CREATE TABLE pkg_retention_lock (
	repository {text} NOT NULL REFERENCES pkg_repository (id) ON DELETE CASCADE,
	name       {text} NOT NULL,
	list       {text} NOT NULL, -- one reference a line
	PRIMARY KEY (repository, name)
);
CREATE TABLE pkg_retention_run (
	id         {text} NOT NULL PRIMARY KEY,
	repository {text} NOT NULL REFERENCES pkg_repository (id) ON DELETE CASCADE,
	state      {text} NOT NULL,
	started_by {text} NOT NULL, -- empty for a scheduled run
	created    {int} NOT NULL,
	finished   {int} NOT NULL,
	until      {int} NOT NULL,
	versions   {int} NOT NULL,
	removed    {int} NOT NULL,
	restored   {int} NOT NULL,
	message    {text} NOT NULL
);
CREATE INDEX pkg_retention_run_created ON pkg_retention_run (repository, created);
CREATE TABLE pkg_aside ( -- versions that a rule removed, with the columns of pkg_version
	package     {text} NOT NULL REFERENCES pkg_package (id) ON DELETE CASCADE,
	version_key {text} NOT NULL,
	version     {text} NOT NULL,
	revision    {text} NOT NULL,
	status      {text} NOT NULL,
	published   {int} NOT NULL,
	arrived     {int} NOT NULL,
	entry_point {text} NOT NULL,
	description {bytes},
	metadata    {bytes},
	edited      {int} NOT NULL,
	downloads   {int} NOT NULL, -- these two are of pkg_usage
	used        {int} NOT NULL,
	run         {text} NOT NULL,
	rule        {text} NOT NULL,
	reason      {text} NOT NULL,
	unused      {int} NOT NULL, -- 1 if the rule asks for the last download
	since       {int} NOT NULL,
	until       {int} NOT NULL,
	PRIMARY KEY (package, version_key)
);
CREATE INDEX pkg_aside_run ON pkg_aside (run);
CREATE INDEX pkg_aside_until ON pkg_aside (until);
CREATE TABLE pkg_aside_asset (
	package     {text} NOT NULL,
	version_key {text} NOT NULL,
	name        {text} NOT NULL,
	beside      {text} NOT NULL,
	domain      {text} NOT NULL,
	sha256      {text} NOT NULL,
	published   {int} NOT NULL,
	metadata    {bytes},
	PRIMARY KEY (package, version_key, name),
	FOREIGN KEY (package, version_key) REFERENCES pkg_aside (package, version_key) ON DELETE CASCADE,
	FOREIGN KEY (domain, sha256) REFERENCES pkg_content (domain, sha256)
);
CREATE INDEX pkg_aside_asset_content ON pkg_aside_asset (domain, sha256);
CREATE TABLE pkg_clock ( -- one row; see retentionrules_clock.go
	one   {int} NOT NULL PRIMARY KEY,
	noted {int} NOT NULL,
	since {int} NOT NULL
);
`

// admissionTable has exceptions and quarantines; see admission_entries.go.
const admissionTable = `
CREATE TABLE pkg_admission (
	id          {text} NOT NULL PRIMARY KEY,
	domain      {text} NOT NULL REFERENCES pkg_domain (id) ON DELETE CASCADE,
	repository  {text} REFERENCES pkg_repository (id) ON DELETE CASCADE, -- NULL: all of the domain
	kind        {text} NOT NULL,
	format      {text} NOT NULL,
	namespace   {text} NOT NULL,
	name_key    {text} NOT NULL,
	name        {text} NOT NULL,
	version_key {text} NOT NULL, -- empty: all versions
	version     {text} NOT NULL,
	rules       {text} NOT NULL, -- a JSON array of Sids; empty: all rules
	until       {int} NOT NULL,  -- 0: it does not end
	reason      {text} NOT NULL,
	created     {int} NOT NULL,
	created_by  {text} NOT NULL
);
CREATE INDEX pkg_admission_domain ON pkg_admission (domain);
`

// connections has the external connection of a repository, or an empty text.
const connections = `
ALTER TABLE pkg_repository ADD COLUMN external_connection {text} NOT NULL DEFAULT '';
`

// edited tells the versions from external registries that were changed here from those
// that follow the registry.
const edited = `
ALTER TABLE pkg_version ADD COLUMN edited {int} NOT NULL DEFAULT 0; -- 1 if metadata or status were set here
`

// revised orders what is known of a version that was changed, and imported: see
// [VersionRecord]. edited is 2 for a version that was changed where it was imported from.
const revised = `
ALTER TABLE pkg_version ADD COLUMN revised {int} NOT NULL DEFAULT 0; -- when metadata or status were last set by somebody; 0: never, or not known
ALTER TABLE pkg_aside ADD COLUMN revised {int} NOT NULL DEFAULT 0;
`

// groupTables has the package groups. The index finds the packages of a domain by name.
const groupTables = `
CREATE TABLE pkg_group (
	id           {text} NOT NULL PRIMARY KEY,
	domain       {text} NOT NULL REFERENCES pkg_domain (id),
	pattern      {text} NOT NULL,
	contact      {text} NOT NULL,
	description  {text} NOT NULL,
	created      {int} NOT NULL,
	tags         {text} NOT NULL, -- a JSON object
	restrictions {text} NOT NULL, -- a JSON object: origin type to mode and rows of repositories
	UNIQUE (domain, pattern)
);
CREATE INDEX pkg_package_name ON pkg_package (format, namespace, name_key, repository);
`

const store = `
CREATE TABLE pkg_domain (
	id              {text} NOT NULL PRIMARY KEY,
	owner           {text} NOT NULL,
	region          {text} NOT NULL,
	name            {text} NOT NULL,
	encryption_key  {text} NOT NULL,
	created         {int} NOT NULL,
	tags            {text} NOT NULL, -- a JSON object
	policy          {text} NOT NULL, -- empty for none
	policy_revision {text} NOT NULL,
	UNIQUE (owner, region, name)
);
CREATE TABLE pkg_repository (
	id              {text} NOT NULL PRIMARY KEY,
	domain          {text} NOT NULL REFERENCES pkg_domain (id),
	name            {text} NOT NULL,
	description     {text} NOT NULL,
	administrator   {text} NOT NULL,
	created         {int} NOT NULL,
	upstreams       {text} NOT NULL, -- a JSON array of repository ids, the first searched first
	tags            {text} NOT NULL,
	policy          {text} NOT NULL,
	policy_revision {text} NOT NULL,
	UNIQUE (domain, name)
);
CREATE TABLE pkg_package (
	id         {text} NOT NULL PRIMARY KEY,
	repository {text} NOT NULL REFERENCES pkg_repository (id),
	format     {text} NOT NULL,
	namespace  {text} NOT NULL,
	name_key   {text} NOT NULL, -- the same for all spellings of the name
	name       {text} NOT NULL,
	publish    {text} NOT NULL, -- ALLOW or BLOCK
	upstream   {text} NOT NULL,
	tags       {text} NOT NULL, -- a JSON object: tag to version
	attributes {bytes},
	created    {int} NOT NULL,
	modified   {int} NOT NULL,
	seq        {int} NOT NULL,
	removed    {int} NOT NULL,
	UNIQUE (repository, format, namespace, name_key)
);
CREATE TABLE pkg_version (
	package     {text} NOT NULL REFERENCES pkg_package (id),
	version_key {text} NOT NULL,
	version     {text} NOT NULL,
	revision    {text} NOT NULL,
	status      {text} NOT NULL,
	published   {int} NOT NULL,
	entry_point {text} NOT NULL, -- the repository to which it was published
	description {bytes},         -- JSON of Description
	metadata    {bytes},
	changed     {int} NOT NULL,
	PRIMARY KEY (package, version_key)
);
CREATE INDEX pkg_version_changed ON pkg_version (package, changed);
CREATE TABLE pkg_content (
	domain {text} NOT NULL REFERENCES pkg_domain (id),
	sha256 {text} NOT NULL,
	size   {int} NOT NULL,
	md5    {text} NOT NULL,
	sha1   {text} NOT NULL,
	sha512 {text} NOT NULL,
	object {text} NOT NULL UNIQUE,
	PRIMARY KEY (domain, sha256)
);
CREATE TABLE pkg_asset (
	package     {text} NOT NULL,
	version_key {text} NOT NULL,
	name        {text} NOT NULL,
	domain      {text} NOT NULL,
	sha256      {text} NOT NULL,
	published   {int} NOT NULL,
	metadata    {bytes},
	PRIMARY KEY (package, version_key, name),
	FOREIGN KEY (package, version_key) REFERENCES pkg_version (package, version_key),
	FOREIGN KEY (domain, sha256) REFERENCES pkg_content (domain, sha256)
);
CREATE INDEX pkg_asset_content ON pkg_asset (domain, sha256);
CREATE TABLE pkg_garbage ( -- objects that no content has any more
	object {text} NOT NULL PRIMARY KEY,
	since  {int} NOT NULL
);
`

const trustedTime = `
ALTER TABLE pkg_clock ADD COLUMN trusted {int} NOT NULL DEFAULT 0; -- see package steadyclock
`
