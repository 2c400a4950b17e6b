package nupkg

// Complete is the service of a registry that completes ids ([packages.RemoteSearch]).
const Complete = "complete"

// Found is what an external registry says of a package that its search found. If the
// registry was asked to complete an id, it has the id alone.
type Found struct {
	Manifest                 // of the newest version
	Downloads int64          `json:"downloads,omitempty"`
	Versions  []FoundVersion `json:"versions,omitempty"`
}

// A FoundVersion is a version of a package that was found.
type FoundVersion struct {
	Version   string `json:"version"`
	Downloads int64  `json:"downloads,omitempty"`
}
