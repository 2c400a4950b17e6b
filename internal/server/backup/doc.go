// Package backup makes and restores backups of an installation on SQLite and local
// files. The server may run meanwhile. What it does not cover, PostgreSQL and S3, is
// backed up with their own tools: docs/operations.md has the recipe.
//
// # A backup folder
//
//	gatehouse-backup.json               says that the folder is one
//	lock                                held while a backup is made
//	blobs/3f/NAME                       the objects of all generations, as in a data folder
//	generations/20261130T064853Z/
//	    gatehouse.db                    the database at one moment
//	    objects.txt                     the objects that it names: name, size, digest
//	    keyring.json, tls/…             if they are wanted
//	    manifest.json                   written last: counts, sizes and digests of it all
//
// A generation is in a folder NAME.partial until it is complete and durable. So what
// has its final name can be restored.
//
// # How a backup is made
//
// [Create] first copies the database, which is then a consistent snapshot, and after
// that the objects that the snapshot names. The server never deletes an object that a
// row has named before sweep.keep has passed; it only sets it aside, and there it is
// found as well. Objects never change, so those that an earlier generation has are not
// copied again, and on the same file system they are linked. An interrupted backup
// keeps the objects that it has copied; the next one takes a new snapshot.
//
// [Restore] copies in the opposite order: the database last.
//
// The package imports the domain packages for one question only: which objects a
// database names.
package backup
