package packument

import "encoding/json"

// A Found is a package in the answer to a search (npm docs, "REGISTRY-API", search).
type Found struct {
	Name        string          `json:"name"`
	Version     string          `json:"version"`
	Description string          `json:"description,omitempty"`
	Keywords    json.RawMessage `json:"keywords,omitempty"` // as they were published
	Date        string          `json:"date"`
}
