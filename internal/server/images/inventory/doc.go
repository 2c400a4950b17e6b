// Package inventory finds the packages in the layers of an image: those of Debian's and
// Alpine's package managers and of languages, by the files that installers leave behind.
//
// A [Reader] gets the layers in their order, the lowest first, as the streams that a
// registry stores, and answers an [Inventory]. A layer is read once, as a stream. Only files
// that a parser wants are kept, and only until they are parsed. What a later layer replaces
// or removes is not in the answer.
//
// Layers are hostile input, and package scanworker runs a Reader in a process of its own.
// Here the bounds of [Limits] hold: of the bytes after decompression, of entries, of files
// and of packages. A file that a parser cannot read, or that is too large for it, is
// named in [Inventory.Unread]. A layer that cannot be read is an error.
//
// The package imports no other package of the server.
package inventory
