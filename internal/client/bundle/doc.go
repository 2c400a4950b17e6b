// Package bundle writes and reads bundles: single files in which packages and images travel
// to an installation without a network.
//
// A bundle is a tar archive without compression. Its members come in this order:
//
//	SHA256SUMS.sig      signature of SHA256SUMS in OpenSSH's format, namespace [Namespace]
//	SHA256SUMS          the SHA-256 of every other member, as sha256sum writes it
//	bundle.json         what this is, and when it was made
//	inventory           what this bundle and those before it have, for the next one
//	versions.jsonl      a record of a package version in each line
//	oci-layout, index.json   the images, as an OCI image layout
//	blobs/sha256/…      files of versions and blobs of images, by their SHA-256
//
// [Export] writes one from a server, [Open] verifies one, and [Bundle.Import] brings it to
// a server. Open checks the signature before it reads anything else and then every digest,
// so nothing of a bundle that was tampered with reaches a server. Neither of them unpacks
// anything: memory and disk are bounded whatever is in the file.
package bundle
