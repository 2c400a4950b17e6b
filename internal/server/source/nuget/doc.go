// Package nuget reads NuGet registries: version 3 of NuGet's server API (Microsoft Learn,
// "NuGet Server API"). [Codec] implements [source.Codec].
//
// The service index says where the other documents are. It is kept for an hour
// (service.go). The registration of a package says what its versions are (registration.go);
// if there are many, it names pages, which are read too. It has no hashes. If it names a
// document of the registry's catalog, the hash is there. A package that arrives is opened
// in any case: the manifest in it must have the id and the version for which it was
// downloaded (inspect.go). Searches are asked where the service index says (search.go).
package nuget
