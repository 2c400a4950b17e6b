// Package source reads packages of other registries: the public ones behind CodeArtifact's
// external connections, and any other that speaks the protocol of a format.
//
// A [Cache] is what the package store asks; it implements [packages.Remote]. It keeps what
// a registry said of a package as a document: in memory, and in a table, so that it
// survives restarts and outages. A [Codec], one for each format in the folders below,
// reads the registry's protocol. It makes of an answer exactly what a publication of the
// format stores here, so that the format's handler serves both in the same way.
//
// # How a package is looked up
//
//   - A document is fresh for a few seconds after the registry confirmed it
//     ([Settings].Fresh). Then it is used without asking.
//   - For a while after that ([Settings].Background) it is used, too, and confirmed in the
//     background. So revalidation costs a client no time if the package is in use.
//   - Later, the registry is asked first, with the validators of the document. If it fails
//     or is slow ([Settings].Patience), the document is used for days
//     ([Settings].MaxStale), and the answer says so.
//   - That a package does not exist is believed for less than a minute
//     ([Settings].Missing), and never because of an error.
//
// Requests for the same package share one question to the registry. Servers that share a
// database take turns by a lease in it (lease.go), and find the answer of the first in
// the table.
//
// Other documents of a registry ([Cache.Document]), such as its signing keys, are looked up
// in the same way. They are small.
//
// # Who is told what
//
// The caller's credentials, name and address never go to a registry. Only the name of the
// package does, and the text of a search. Whether it may be asked is the decision of package packages.
package source
