// Package imagecopy copies container images between registries and bundles: manifests byte
// for byte, all platforms of an index, and what refers to an image (signatures,
// attestations, SBOMs), by the referrers API and by cosign's tags.
//
// A [Source] has the manifests and blobs of one repository: [Remote] is one in a registry,
// and package bundle has another. A [Walker] visits an image of a source: what a manifest
// names comes before the manifest, and what refers to an image after it. It visits each
// manifest once, however often others name it, so an index of indexes costs no more than
// the number of its manifests. [Copy] writes what a walk finds to a Remote.
package imagecopy
