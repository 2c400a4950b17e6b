// Package stored has what the package store keeps, as JSON, of a Python project's versions
// and files. An upload (formats/pypi) and the index of another registry (source/pypi)
// give the same.
package stored

// MetadataSuffix makes of the name of a file the one of its core metadata (PEP 658).
const MetadataSuffix = ".metadata"

// A Project has the attributes of a package.
type Project struct {
	Status *Status `json:"project_status,omitempty"`
}

// A Status is what an index says about a project as a whole (PEP 792).
type Status struct {
	// Status is archived, quarantined or deprecated; active, which is the same as none, is
	// not stored.
	Status string `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Known reports whether clients know the status and it is not the one of every project.
func (s *Status) Known() bool {
	return s.Status == "archived" || s.Status == "quarantined" || s.Status == "deprecated"
}

// A Version is the metadata of a version.
type Version struct {
	// Yanked is the reason for which the release was yanked; nil if it was not.
	Yanked *string `json:"yanked,omitempty"`
}

// A File is the metadata of an asset.
type File struct {
	RequiresPython string `json:"requires_python,omitempty"`
	// Provenance is the address at which another index has the attestations of the file
	// (PEP 740).
	Provenance string `json:"provenance,omitempty"`
}
