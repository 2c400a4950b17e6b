// Package operatorapi is the handler of Gatehouse's own API for those who run an
// installation, which package operatormodel describes. It works like the handlers of
// the AWS APIs: each operation is one method of [API], and [Register] adds all of them
// to a wire.Service. The rules and the authorization are in the domain packages:
// installation has what is about the installation as a whole.
//
// This package must not import another handler, or a database.
package operatorapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/jsonerrors"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/installation"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Config has what an [API] needs. All fields are required.
type Config struct {
	Installation *installation.Service
	Keys         *keys.Service
	Packages     *packages.Service
	Images       *images.Service
	Advisories   *advisories.Service
	Now          func() time.Time
}

// An API is the operator API.
type API struct{ c Config }

// New returns the API.
func New(c Config) *API { return &API{c} }

// NewService returns the service without operations, for [Register].
func NewService(o wire.Options) (*wire.Service, error) {
	table, err := operatormodel.Table()
	if err != nil {
		return nil, err
	}
	return wire.NewFromTable(table, o)
}

// Register adds the operations of a to s.
func Register(s *wire.Service, a *API) {
	wire.Handle(s, a.GetServerInfo)
	wire.Handle(s, a.ListWork)
	wire.Handle(s, a.RetryWork)
	wire.Handle(s, a.ListEvents)
	wire.Handle(s, a.ListKeys)
	wire.Handle(s, a.RetireKey)
	wire.Handle(s, a.RotateKeys)
	wire.Handle(s, a.ListPackageStatistics)
	wire.Handle(s, a.PutRetentionRules)
	wire.Handle(s, a.GetRetentionRules)
	wire.Handle(s, a.DeleteRetentionRules)
	wire.Handle(s, a.PreviewRetention)
	wire.Handle(s, a.RunRetention)
	wire.Handle(s, a.ListRetentionRuns)
	wire.Handle(s, a.UndoRetention)
	wire.Handle(s, a.PutAdmissionException)
	wire.Handle(s, a.DeleteAdmissionException)
	wire.Handle(s, a.PutQuarantine)
	wire.Handle(s, a.ReleaseQuarantine)
	wire.Handle(s, a.ListAdmissionEntries)
	wire.Handle(s, a.ExplainAdmission)
	wire.Handle(s, a.ExplainLifecycle)
	wire.Handle(s, a.RunLifecycle)
	wire.Handle(s, a.ListLifecycleRuns)
	wire.Handle(s, a.UndoLifecycle)
	wire.Handle(s, a.PutDefaultLifecyclePolicy)
	wire.Handle(s, a.GetDefaultLifecyclePolicy)
	wire.Handle(s, a.DeleteDefaultLifecyclePolicy)
	wire.Handle(s, a.ImportAdvisories)
	wire.Handle(s, a.DeleteAdvisories)
	wire.Handle(s, a.ListAdvisories)
	wire.Handle(s, a.RefreshAdvisories)
	wire.Handle(s, a.ListAdvisorySources)
	wire.Handle(s, a.ExportPackageVersion)
}

// NewStreamService returns the service of the operations that stream, without operations,
// for [RegisterStreams].
func NewStreamService(o wire.Options) (*wire.Service, error) {
	table, err := operatormodel.StreamTable()
	if err != nil {
		return nil, err
	}
	return wire.NewFromTable(table, o)
}

// RegisterStreams adds the operations of a that stream to s.
func RegisterStreams(s *wire.Service, a *API) {
	wire.Handle(s, a.GetExportedFile)
	wire.Handle(s, a.ImportPackageVersion)
}

// GetServerInfo describes the server that answers.
func (a *API) GetServerInfo(ctx context.Context, _ *operatormodel.GetServerInfoInput) (*operatormodel.GetServerInfoOutput, error) {
	info, err := a.c.Installation.ServerInfo(ctx)
	if err != nil {
		return nil, err
	}
	return &operatormodel.GetServerInfoOutput{
		Version: info.Version, ServerID: info.ServerID, StartedAt: info.Started, UptimeSeconds: int64(info.Uptime.Seconds()),
		Account: info.Account, Regions: info.Regions, URL: info.URL, Database: info.Database, SchemaSteps: info.SchemaSteps,
	}, nil
}

// MapError turns any error into what a client gets. A fault keeps its code, with the
// ending Exception that the codes of awsJson1.1 have. Errors of package wire stay as
// they are.
func MapError(err error) error {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
	case wire.Known(err):
		return err
	default:
		f = fault.From(err)
	}
	if common := jsonerrors.Common(f); common != nil {
		return common
	}
	if f.Kind == fault.Internal {
		return &wire.Error{Code: "ServerException", Message: f.Message, Status: http.StatusInternalServerError}
	}
	return &wire.Error{Code: f.Code + "Exception", Message: f.Message, Status: http.StatusBadRequest}
}
