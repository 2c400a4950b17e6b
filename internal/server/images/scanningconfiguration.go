package images

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/wildcard"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// The scanning configuration of a registry says which images are scanned; see scan.go.

// The scan types and frequencies of ECR.
const (
	ScanBasic    = "BASIC"
	ScanEnhanced = "ENHANCED"

	ScanOnPushFrequency = "SCAN_ON_PUSH"
	ScanContinuously    = "CONTINUOUS_SCAN"
	ScanManually        = "MANUAL"
)

// A ScanningConfiguration says which repositories of a registry are to be scanned when.
type ScanningConfiguration struct {
	Type  string         `json:"type"`
	Rules []ScanningRule `json:"rules"`
}

// A ScanningRule has the filters of one frequency.
type ScanningRule struct {
	Frequency string   `json:"frequency"`
	Filters   []string `json:"filters"`
}

// ScanningConfiguration returns the scanning configuration of a registry. Action
// ecr:GetRegistryScanningConfiguration. Fault: AccessDenied.
func (s *Service) ScanningConfiguration(ctx context.Context, id RegistryID) (ScanningConfiguration, error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:GetRegistryScanningConfiguration")
	if err != nil {
		return ScanningConfiguration{}, err
	}
	return r.scanning(), nil
}

func (r *Registry) scanning() ScanningConfiguration {
	if r.Scanning == nil {
		return ScanningConfiguration{Type: ScanBasic}
	}
	return *r.Scanning
}

// PutScanningConfiguration replaces the scanning configuration of a registry. Action
// ecr:PutRegistryScanningConfiguration. Faults: AccessDenied, InvalidParameter.
func (s *Service) PutScanningConfiguration(ctx context.Context, id RegistryID, c ScanningConfiguration) error {
	if _, err := s.authorizeSettings(ctx, id, "ecr:PutRegistryScanningConfiguration"); err != nil {
		return err
	}
	if c.Type == "" {
		c.Type = ScanBasic
	}
	var seen []string
	for _, rule := range c.Rules {
		switch {
		case slices.Contains(seen, rule.Frequency):
			return invalidParameter("rules", "There can be only one rule for the scan frequency "+rule.Frequency)
		case c.Type == ScanBasic && rule.Frequency != ScanOnPushFrequency:
			return invalidParameter("rules", "The scan type BASIC allows only the scan frequency SCAN_ON_PUSH")
		case c.Type == ScanEnhanced && rule.Frequency == ScanManually:
			return invalidParameter("rules", "The scan type ENHANCED allows only the scan frequencies SCAN_ON_PUSH and CONTINUOUS_SCAN")
		case len(rule.Filters) == 0:
			return invalidParameter("rules", "A rule must have at least one repository filter")
		}
		seen = append(seen, rule.Frequency)
	}
	_, err := s.editRegistryTx(ctx, id, func(tx *db.Tx, r *Registry) error {
		r.Scanning = &c
		if c.Type != ScanEnhanced || s.scanner.Reader == nil {
			return nil
		}
		// After the answer, the change is known to all servers.
		return s.work.Enqueue(ctx, tx, work.Job{Kind: kindScanExisting, Key: id.Account + "/" + id.Region, Payload: id, RunAt: s.now().Add(s.changeDelay())})
	})
	return err
}

// A RepositoryScanning says how a repository is to be scanned.
type RepositoryScanning struct {
	Frequency  string
	ScanOnPush bool
	// Filters are those of the registry that match.
	Filters []string
}

// RepositoryScanning returns how a repository is to be scanned by the configurations of
// its registry and its own. Action ecr:BatchGetRepositoryScanningConfiguration. Faults:
// AccessDenied, RepositoryNotFound.
func (s *Service) RepositoryScanning(ctx context.Context, id RepositoryID) (RepositoryScanning, error) {
	repo, err := s.authorize(ctx, id, "ecr:BatchGetRepositoryScanningConfiguration")
	if err != nil {
		return RepositoryScanning{}, err
	}
	return s.scanFrequency(repo), nil
}

// matchingFilters returns the filters that match a name. A filter without a wildcard
// matches every name that contains it (Amazon ECR User Guide, "Filters to choose which
// repositories are scanned in Amazon ECR").
func matchingFilters(filters []string, name string) (matched []string) {
	for _, f := range filters {
		if wildcard.Match(f, name) || !strings.Contains(f, "*") && strings.Contains(name, f) {
			matched = append(matched, f)
		}
	}
	return matched
}
