// Package archive reads files out of the archives that clients publish: the nuspec in a
// zip, METADATA in a wheel, Cargo.toml in a tar.gz. The archives are hostile until
// proven otherwise, so everything that reading costs is bounded by [Limits]: the number
// of members, the bytes that are unpacked, how much they grow, archives within archives,
// and the time.
//
// A [Budget] is what one publication may cost. It opens archives: [Budget.Zip] reads by
// ranges, so it needs an io.ReaderAt such as a blob.Object of staged content;
// [Budget.Tar] and [Budget.TarGz] read a stream. An archive in an archive is opened with
// the same budget. Nothing is ever written to a disk, and links are never followed.
//
// A [Limiter] bounds the memory of all archives that are open at once. Who reads one asks
// it first.
//
// An archive that is broken or too expensive is a fault of kind Invalid, whose message
// says why. Its code is [Invalid], [TooLarge] or, if the archive lacks a file, [Missing].
// An error of the source, such as a store that fails, is returned as it is: it is not
// the client's fault.
//
// The package imports package fault only.
package archive
