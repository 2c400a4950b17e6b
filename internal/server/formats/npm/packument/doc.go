// Package packument reads npm's document of a package, which npm calls a packument, and
// makes of its parts what the store keeps: the metadata of a version and the attributes of
// a package. A publication (formats/npm) and a document of another registry (source/npm) give
// the same.
//
// The store keeps a version's object of the document without the readme, and without what
// the tarball itself determines.
package packument
