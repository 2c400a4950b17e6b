// Package secrets is a small store of secrets with the rules of AWS Secrets Manager: its
// rules and transactions, without HTTP. It exists for credentials that the server itself
// uses, such as the passwords of pull-through cache rules, and anybody with permissions can
// use it. The handler is api/secretsmanagerapi.
//
// A [Service] has the operations. A secret belongs to an account in a region, a [Place]. It
// has a name, an ARN with six random characters, and versions. Each version has a value and
// staging labels, of which AWSCURRENT names the version that is read if none is named.
//
// # Authorization
//
// The first step of every method is authorization with the action that its comment names, on
// the ARN of the secret. [Service.ReadForService] is the exception, for the server's own use.
//
// # Storage
//
// Values are stored encrypted by a key of the keyring, bound to the secret and the version.
// After a rotation of the keyring [Service.Reseal] encrypts them anew. Nothing is kept in
// memory, so several servers need not tell each other of changes. Values are never part of
// an error, a log line or an audit record.
//
// This package must not import a handler, or another domain package except authz.
package secrets
