package ecrapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/inventory"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/vulnerability"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// StartImageScan puts the scan of an image into the queue.
func (a *API) StartImageScan(ctx context.Context, in *ecr.StartImageScanInput) (*ecr.StartImageScanOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	r, err := a.c.Images.StartImageScan(ctx, id, reference(in.ImageId))
	if err != nil {
		return nil, err
	}
	return &ecr.StartImageScanOutput{ImageId: imageID(r.Image), ImageScanStatus: scanStatus(&r), RegistryId: &id.Account, RepositoryName: &id.Name}, nil
}

func reference(id *types.ImageIdentifier) images.Reference {
	v := optional.Value(id)
	return images.Reference{Tag: optional.Value(v.ImageTag), Digest: digest.Digest(optional.Value(v.ImageDigest))}
}

func scanStatus(r *images.ScanResult) *types.ImageScanStatus {
	return &types.ImageScanStatus{Status: types.ScanStatus(r.Status), Description: optional.Text(r.Description)}
}

// DescribeImageScanFindings returns the findings of an image, in the shape of the scan type
// of the registry.
func (a *API) DescribeImageScanFindings(ctx context.Context, in *ecr.DescribeImageScanFindingsInput) (*ecr.DescribeImageScanFindingsOutput, error) {
	id, ref := repository(ctx, in.RegistryId, in.RepositoryName), reference(in.ImageId)
	page := pagetoken.NewScope("DescribeImageScanFindings", id.ARN(), string(ref.Digest), ref.Tag)
	cursor, err := cursorOf(page, in.NextToken, 2)
	if err != nil {
		return nil, err
	}
	severity, _ := strconv.Atoi(cursor[0]) // empty at the beginning
	r, err := a.c.Images.ImageScanFindings(ctx, id, ref, images.FindingPosition{Severity: vulnerability.Severity(severity), Key: cursor[1]}, pageSize(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &ecr.DescribeImageScanFindingsOutput{ImageId: imageID(r.Image), ImageScanStatus: scanStatus(&r), RegistryId: &id.Account, RepositoryName: &id.Name}
	if r.Counts == nil {
		return out, nil
	}
	list := &types.ImageScanFindings{FindingSeverityCounts: r.Counts, ImageScanCompletedAt: optional.Time(r.CompletedAt), VulnerabilitySourceUpdatedAt: optional.Time(r.SourceUpdatedAt)}
	if r.Enhanced {
		list.EnhancedFindings = []types.EnhancedImageScanFinding{}
	} else {
		list.Findings = []types.ImageScanFinding{}
	}
	for i := range r.Findings {
		if r.Enhanced {
			list.EnhancedFindings = append(list.EnhancedFindings, enhancedFinding(id, &r, &r.Findings[i]))
		} else {
			list.Findings = append(list.Findings, basicFinding(&r.Findings[i]))
		}
	}
	out.ImageScanFindings = list
	if r.More {
		last := images.PositionOf(&r.Findings[len(r.Findings)-1])
		out.NextToken = page.Next(true, strconv.Itoa(int(last.Severity)), last.Key)
	}
	return out, nil
}

// addScan adds the result of a scan to the description of an image.
func addScan(d *types.ImageDetail, r *images.ScanResult) {
	if r == nil {
		return
	}
	d.ImageScanStatus = scanStatus(r)
	if r.Counts != nil {
		d.ImageScanFindingsSummary = &types.ImageScanFindingsSummary{FindingSeverityCounts: r.Counts, ImageScanCompletedAt: optional.Time(r.CompletedAt), VulnerabilitySourceUpdatedAt: optional.Time(r.SourceUpdatedAt)}
	}
}

// maxAttribute is the length of the longest value of an attribute (AttributeValue in ECR's
// model).
const maxAttribute = 256

// basicFinding converts a finding to the shape of basic scans.
func basicFinding(f *vulnerability.Finding) types.ImageScanFinding {
	out := types.ImageScanFinding{
		Name: &f.Name, Description: optional.Text(f.Advisory.Summary), Uri: optional.Text(f.Advisory.URL),
		Severity: types.FindingSeverity(f.Severity().String()), Attributes: []types.Attribute{},
	}
	version := cvssVersion(f.Advisory.Vector)
	score := ""
	if f.Advisory.Score > 0 {
		score = strconv.FormatFloat(f.Advisory.Score, 'f', 1, 64)
	}
	major, _, _ := strings.Cut(version, ".")
	for _, a := range [][2]string{
		{"package_name", f.Package},
		{"package_version", f.Version},
		{"fixed_in_version", f.Advisory.Fixed},
		{"package_ecosystem", f.Ecosystem},
		{"CVSS" + major + "_VECTOR", f.Advisory.Vector},
		{"CVSS" + major + "_SCORE", score},
	} {
		if a[1] != "" {
			out.Attributes = append(out.Attributes, types.Attribute{Key: &a[0], Value: new(truncate.String(a[1], maxAttribute))})
		}
	}
	return out
}

// cvssVersion is the version in a vector, such as 3.1.
func cvssVersion(vector string) string {
	version, _, _ := strings.Cut(strings.TrimPrefix(vector, "CVSS:"), "/")
	return version
}

// enhancedFinding converts a finding to the shape of Amazon Inspector.
func enhancedFinding(id images.RepositoryID, r *images.ScanResult, f *vulnerability.Finding) types.EnhancedImageScanFinding {
	seen, ok := r.FirstSeen[f.Key()]
	if !ok { // the advisory is newer than the last comparison of the work in the background
		seen = r.SourceUpdatedAt
	}
	severity := f.Severity().String()
	if f.Severity() == vulnerability.Undefined {
		severity = "UNTRIAGED" // as Inspector calls it
	}
	image := id.ARN() + "/" + string(r.Image.Digest)
	out := types.EnhancedImageScanFinding{
		AwsAccountId: &id.Account, FindingArn: new(images.FindingARN(id, r.Image.Digest, f.Key())), Type: new("PACKAGE_VULNERABILITY"), Status: new("ACTIVE"),
		Title: new(truncate.String(f.Name+" - "+f.Package, 1000)), Description: new(f.Advisory.Summary), Severity: &severity, Score: f.Advisory.Score,
		FirstObservedAt: &seen, LastObservedAt: optional.Time(later(r.CompletedAt, r.SourceUpdatedAt)), UpdatedAt: optional.Time(later(seen, f.Advisory.Modified)),
		FixAvailable: new("NO"), ExploitAvailable: new("NO"),
		PackageVulnerabilityDetails: vulnerabilityDetails(f),
		Remediation:                 &types.Remediation{Recommendation: &types.Recommendation{Text: new("None Provided")}},
		Resources: []types.Resource{{Id: &image, Type: new("AWS_ECR_CONTAINER_IMAGE"), Tags: map[string]string{}, Details: &types.ResourceDetails{
			AwsEcrContainerImage: &types.AwsEcrContainerImageDetails{ImageHash: new(string(r.Image.Digest)), ImageTags: r.Tags, PushedAt: &r.PushedAt, Registry: &id.Account, RepositoryName: &id.Name, Architecture: architecture(f)},
		}}},
	}
	if f.Advisory.Fixed != "" {
		out.FixAvailable = new("YES")
		out.Remediation.Recommendation.Text = new("Update " + f.Package + " to version " + f.Advisory.Fixed + " or later.")
	}
	if f.Advisory.Score > 0 {
		out.ScoreDetails = &types.ScoreDetails{Cvss: &types.CvssScoreDetails{Score: f.Advisory.Score, ScoreSource: new(sourceOf(f)), ScoringVector: &f.Advisory.Vector, Version: new(cvssVersion(f.Advisory.Vector))}}
	}
	return out
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// sourceOf is where an advisory is from: the prefix of its id, such as GHSA.
func sourceOf(f *vulnerability.Finding) string {
	source, _, _ := strings.Cut(f.Advisory.ID, "-")
	return source
}

// architecture is that of the packages, if they are packages of a distribution.
func architecture(f *vulnerability.Finding) *string {
	for i := range f.Installed {
		if arch := f.Installed[i].Arch; arch != "" && arch != "all" && arch != "noarch" {
			return &arch
		}
	}
	return nil
}

// maxVulnerablePackages is how many packages of a finding are named.
const maxVulnerablePackages = 100

func vulnerabilityDetails(f *vulnerability.Finding) *types.PackageVulnerabilityDetails {
	a := &f.Advisory
	out := &types.PackageVulnerabilityDetails{
		VulnerabilityId: &f.Name, Source: new(sourceOf(f)), SourceUrl: optional.Text(a.URL), ReferenceUrls: []string{}, RelatedVulnerabilities: []string{},
		VendorCreatedAt: optional.Time(a.Published), VendorUpdatedAt: optional.Time(a.Modified), VendorSeverity: new(a.Severity.String()),
		Cvss: []types.CvssScore{}, VulnerablePackages: []types.VulnerablePackage{},
	}
	if a.URL != "" {
		out.ReferenceUrls = append(out.ReferenceUrls, a.URL)
	}
	for _, other := range append([]string{a.ID}, a.Aliases...) {
		if other != f.Name {
			out.RelatedVulnerabilities = append(out.RelatedVulnerabilities, other)
		}
	}
	if a.Score > 0 {
		out.Cvss = append(out.Cvss, types.CvssScore{BaseScore: a.Score, ScoringVector: &a.Vector, Source: new(sourceOf(f)), Version: new(cvssVersion(a.Vector))})
	}
	for i := range f.Installed[:min(len(f.Installed), maxVulnerablePackages)] {
		out.VulnerablePackages = append(out.VulnerablePackages, vulnerablePackage(&f.Installed[i], a.Fixed))
	}
	return out
}

// vulnerablePackage converts a package. The version of a package of a distribution has an
// epoch and a release in members of their own.
func vulnerablePackage(p *inventory.Package, fixed string) types.VulnerablePackage {
	out := types.VulnerablePackage{Name: &p.Name, Version: &p.Version, PackageManager: &p.Manager, Arch: optional.Text(p.Arch), SourceLayerHash: optional.Text(p.Layer), FixedInVersion: optional.Text(fixed)}
	if fixed == "" {
		out.FixedInVersion = new("NotAvailable")
	}
	if p.Source == "" {
		out.FilePath = optional.Text(p.Path)
		return out
	}
	version := p.Version
	if epoch, rest, ok := strings.Cut(version, ":"); ok {
		if n, err := strconv.ParseInt(epoch, 10, 32); err == nil {
			out.Epoch, version = new(int32(n)), rest
		}
	}
	if at := strings.LastIndexByte(version, '-'); at > 0 {
		out.Release, version = new(version[at+1:]), version[:at]
	}
	out.Version = &version
	return out
}
