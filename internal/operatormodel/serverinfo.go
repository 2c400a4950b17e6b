package operatormodel

import "time"

// GetServerInfoInput asks which server answers.
type GetServerInfoInput struct{}

// GetServerInfoOutput describes the server that answered, and what it shares with
// the other servers of the installation.
type GetServerInfoOutput struct {
	// Version is the version of the program.
	Version string `json:"version"`
	// ServerID names the process among the servers of the installation. It is new
	// after each start.
	ServerID string `json:"serverId"`
	// StartedAt is when the process started, and UptimeSeconds how long ago that is.
	StartedAt     time.Time `json:"startedAt"`
	UptimeSeconds int64     `json:"uptimeSeconds"`
	// Account is the account of the installation, whose identities may operate it.
	Account string   `json:"account"`
	Regions []string `json:"regions"`
	// URL is the address that clients are told.
	URL string `json:"url"`
	// Database is the database engine: sqlite or postgres.
	Database string `json:"database"`
	// SchemaSteps are the steps of the database's schema, in alphabetical order.
	SchemaSteps []string `json:"schemaSteps"`
}
