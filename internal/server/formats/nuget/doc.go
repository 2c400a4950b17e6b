// Package nuget serves dotnet, nuget.exe, Visual Studio and Paket: version 3 of NuGet's
// server API (Microsoft Learn, "NuGet Server API"), below the endpoint of a repository.
// [Handler] is its [formats.Protocol].
//
//	GET    v3/index.json                                  the service index
//	GET    v3/flatcontainer/{id}/index.json               all versions of a package
//	GET    v3/flatcontainer/{id}/{version}/{file}         the package, its manifest, readme or symbols
//	GET    v3/registration[-semver2]/{id}/index.json      what the versions are
//	GET    v3/registration[-semver2]/{id}/page/{l}/{u}.json  a part of that
//	GET    v3/registration[-semver2]/{id}/{version}.json  one version
//	GET    v3/query, v3/autocomplete                      search
//	PUT    v3/package                                     push
//	DELETE v3/package/{id}/{version}                      unlist; POST lists it again
//	PUT    v3/symbolpackage                               push symbols
//
// Everything is below the folder of index.json, because newer clients send credentials
// unasked only there. There are two registrations: clients older than NuGet 4.3 cannot
// read versions of Semantic Versioning 2.0.0, so theirs leaves those out. Version 2 of
// the API is refused with the address of version 3.
//
// A package is one asset, named {id}.{version}.nupkg in lower case with the normalised
// version, so every spelling of id and version names the same package. Its
// id and version stand in the manifest inside (package nupkg), so the bytes are
// staged before the package is known. What the manifest says becomes the metadata of the
// version, of which registration.go and search.go make their documents. A symbol package
// is a sidecar of its package.
//
// Clients print only the status of a failed request, and no body. But they print the
// header X-NuGet-Warning of any answer, so the reason is there.
package nuget
