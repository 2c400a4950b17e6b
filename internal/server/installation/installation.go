// Package installation answers what concerns an installation as a whole: which server
// this is, what it runs on, what is in its work queue, and what happened in it. It also has the rule for who
// may operate an installation, [Operators], which package keys uses too.
//
// The package imports no handler.
package installation

import (
	"context"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// Operators decides who may operate an installation: identities of its first account
// whose policies allow the action. The resources are the first account's, so
// administrators of other accounts may not, whatever their policies say.
type Operators struct {
	Authz   authz.Authorizer
	Account string // the first account
}

// Authorize reports whether the caller may do the operation, such as "ListWork", on
// the resource, such as "work/*": nil, or a fault of kind Denied. The action is
// gatehouse:<Operation>, and the resource
// arn:aws:gatehouse:<region of the request>:<first account>:<resource>.
func (o Operators) Authorize(ctx context.Context, operation, resource string) error {
	region := ""
	if c := authn.FromContext(ctx); c != nil {
		region = c.Region
	}
	return o.Authz.Authorize(ctx, &authz.Request{
		Action:   "gatehouse:" + operation,
		Resource: arn.New("gatehouse", region, o.Account, resource).String(),
		Account:  o.Account,
	})
}

// Config has what a [Service] needs. All fields are required.
type Config struct {
	DB        *db.DB
	Work      *work.Queue
	Events    *events.Log
	Operators Operators
	Now       func() time.Time
	// Server describes this server. Uptime and SchemaSteps are filled in.
	Server ServerInfo
}

// A Service answers questions about the installation.
type Service struct{ c Config }

// New returns a service.
func New(c Config) *Service { return &Service{c} }

// A ServerInfo describes one server, and what it shares with the others of the
// installation.
type ServerInfo struct {
	Version  string
	ServerID string // of this process; new after each start
	Started  time.Time
	Uptime   time.Duration
	Account  string // the first account
	Regions  []string
	URL      string // that clients are told
	Database string // sqlite or postgres
	// SchemaSteps are the names of the migrations that the database has.
	SchemaSteps []string
}

// ServerInfo returns the description of this server.
func (s *Service) ServerInfo(ctx context.Context) (*ServerInfo, error) {
	if err := s.c.Operators.Authorize(ctx, "GetServerInfo", "server"); err != nil {
		return nil, err
	}
	info := s.c.Server
	info.Uptime = s.c.Now().Sub(info.Started)
	var err error
	info.SchemaSteps, err = s.c.DB.SchemaSteps(ctx)
	return &info, err
}
