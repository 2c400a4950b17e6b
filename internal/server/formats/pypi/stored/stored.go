// Package stored has what the package store keeps, as JSON, of a Python project's versions
// and files. An upload (formats/pypi) and the index of another registry (source/pypi)
// give the same.
package stored

// A Version is the metadata of a version.
type Version struct {
	// Yanked is the reason for which the release was yanked; nil if it was not.
	Yanked *string `json:"yanked,omitempty"`
}

// A File is the metadata of an asset.
type File struct {
	RequiresPython string `json:"requires_python,omitempty"`
}
