package report

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

// A CredentialReport lists the credentials of an account (IAM User Guide,
// "Generate credential reports for your AWS account").
type CredentialReport struct {
	Generated time.Time
	// CSV has the columns of AWS's report.
	CSV []byte
}

// reportValidity is how long a report can be had.
const reportValidity = 4 * time.Hour

// GenerateCredentialReport writes the report of the caller's account anew. It is
// complete when this returns.
func (s *Service) GenerateCredentialReport(ctx context.Context) error {
	sn := s.core.Snapshot()
	a, err := s.core.Account(ctx, sn, "iam:GenerateCredentialReport")
	if err != nil {
		return err
	}
	report, err := s.credentialReport(sn, a)
	if err != nil {
		return err
	}
	return s.core.DB().Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO iam_credential_report (account, generated, body) VALUES ($1, $2, $3)
			ON CONFLICT (account) DO UPDATE SET generated = excluded.generated, body = excluded.body`,
			a.ID, db.Micros(s.core.Second()), string(report))
		return err
	})
}

// CredentialReport returns the report that was generated last. Faults:
// ReportNotPresent, ReportExpired.
func (s *Service) CredentialReport(ctx context.Context) (CredentialReport, error) {
	a, err := s.core.Account(ctx, s.core.Snapshot(), "iam:GetCredentialReport")
	if err != nil {
		return CredentialReport{}, err
	}
	r, err := db.One(ctx, s.core.DB(), func(row db.Row) (r CredentialReport, err error) {
		var generated int64
		var body string
		err = row.Scan(&generated, &body)
		return CredentialReport{db.Time(generated), []byte(body)}, err
	}, `SELECT generated, body FROM iam_credential_report WHERE account = $1`, a.ID)
	switch {
	case errors.Is(err, db.ErrNoRows):
		return r, fault.New(fault.NotFound, "ReportNotPresent", "No report is present: call GenerateCredentialReport first.")
	case err != nil:
		return r, fmt.Errorf("iam: credential report: %w", err)
	case s.core.Now().Sub(r.Generated) >= reportValidity:
		return CredentialReport{}, fault.New(fault.NotFound, "ReportExpired", "The report is older than 4 hours: call GenerateCredentialReport.")
	}
	return r, nil
}

// What the report writes into a field without a value.
const (
	notApplicable = "N/A"
	notSupported  = "not_supported"
	noInformation = "no_information"
)

var (
	reportUser     = []string{"user", "arn", "user_creation_time"}
	reportPassword = []string{"password_enabled", "password_last_used", "password_last_changed", "password_next_rotation", "mfa_active"}
	reportKey      = []string{"active", "last_rotated", "last_used_date", "last_used_region", "last_used_service"}
	reportCerts    = []string{"cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated"}
)

func (s *Service) credentialReport(sn *iam.Snapshot, a *iam.Account) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	header := append(append([]string(nil), reportUser...), reportPassword...)
	for n := range iam.MaxKeys {
		for _, column := range reportKey {
			header = append(header, "access_key_"+strconv.Itoa(n+1)+"_"+column)
		}
	}
	// Errors are kept by the writer until Flush.
	_ = w.Write(append(header, reportCerts...))
	_ = w.Write(s.reportLine("<root_account>", a.ARN(), a, notSupported, noInformation, notSupported, notSupported, "false"))
	for u := range sn.Users(a.ID, "") {
		_ = w.Write(s.reportLine(u.Name, u.ARN(), u, "false", notApplicable, notApplicable, notApplicable, "false"))
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// reportLine is the line of a user or of root; password has the values of
// reportPassword.
func (s *Service) reportLine(name, arn string, e iam.Entity, password ...string) []string {
	line := append([]string{name, arn, reportTime(e.Base().Created)}, password...)
	keys := e.AccessKeys()
	for n := range iam.MaxKeys {
		if n >= len(keys) {
			line = append(line, "false", notApplicable, notApplicable, notApplicable, notApplicable)
			continue
		}
		line = append(line, strconv.FormatBool(keys[n].Active), reportTime(keys[n].Created))
		if use := s.core.LastUse(keys[n].ID); use != nil {
			line = append(line, reportTime(use.At), use.Region, use.Service)
		} else {
			line = append(line, notApplicable, notApplicable, notApplicable)
		}
	}
	return append(line, "false", notApplicable, "false", notApplicable)
}

func reportTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05+00:00") }
