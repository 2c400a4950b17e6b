// Package nupkg reads NuGet packages: the zip ([Open]), the manifest in it
// ([ParseManifest]) and versions ([ParseVersion]). A push (formats/nuget) and an external
// registry (source/nuget) store the same [Manifest]. The package knows no HTTP.
package nupkg
