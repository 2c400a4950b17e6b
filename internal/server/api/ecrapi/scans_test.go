package ecrapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scantest"
)

// pushScanned pushes an image of one layer to the repository app and scans it.
func (f *fixture) pushScanned(layer []byte) digest.Digest {
	f.t.Helper()
	id := images.RepositoryID{Account: account, Region: region, Name: "app"}
	descriptor := func(mediaType string, content []byte) ocispec.Descriptor {
		d := digest.FromBytes(content)
		if _, err := f.images.PutBlob(f.AsAdmin(), id, d, bytes.NewReader(content)); err != nil {
			f.t.Fatal(err)
		}
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
	}
	body, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": descriptor(ocispec.MediaTypeImageConfig, []byte("{}")), "layers": []any{descriptor(ocispec.MediaTypeImageLayerGzip, layer)},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	m, err := f.images.PutManifest(f.AsAdmin(), id, images.PutManifest{Tags: []string{"v1"}, Body: bytes.NewReader(body)})
	if err != nil {
		f.t.Fatal(err)
	}
	return m.Digest
}

func TestImageScans(t *testing.T) {
	f := serve(t)
	f.create("app")
	d := f.pushScanned(scantest.Debian(t))
	if _, err := f.known.Import(f.AsAdmin(), [][]byte{
		[]byte(`{"id":"DSA-1","modified":"2026-02-01T00:00:00Z","published":"2026-01-01T00:00:00Z","summary":"A hole","upstream":["CVE-2026-1"],"severity":[{"type":"CVSS_V3","score":"` + scantest.HighVector + `"}],
			"references":[{"type":"ADVISORY","url":"https://example.com/DSA-1"}],"affected":[{"package":{"ecosystem":"Debian:12","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.12-1"}]}]}]}`),
		scantest.Advisory("CVE-2026-2", "Debian:12", "zlib", "", "2026-01-01T00:00:00Z", ""),
	}); err != nil {
		t.Fatal(err)
	}
	tag := &types.ImageIdentifier{ImageTag: new("v1")}
	describe := func(token *string, limit int32) (*ecr.DescribeImageScanFindingsOutput, error) {
		return f.client.DescribeImageScanFindings(t.Context(), &ecr.DescribeImageScanFindingsInput{RepositoryName: new("app"), ImageId: tag, MaxResults: &limit, NextToken: token})
	}
	_, err := describe(nil, 10)
	wantCode(t, err, "ScanNotFoundException")
	if want := "Image scan does not exist for the image with '{imageDigest:'" + string(d) + "', imageTag:'v1'}' in the repository with name 'app' in the registry with id '" + account + "'"; !strings.HasSuffix(err.Error(), want) {
		t.Error(err)
	}
	started, err := f.client.StartImageScan(t.Context(), &ecr.StartImageScanInput{RepositoryName: new("app"), ImageId: tag})
	if err != nil || started.ImageScanStatus.Status != types.ScanStatusInProgress || *started.ImageId.ImageDigest != string(d) || *started.ImageId.ImageTag != "v1" {
		t.Fatal(started, err)
	}
	_, err = f.client.StartImageScan(t.Context(), &ecr.StartImageScanInput{RepositoryName: new("app"), ImageId: tag})
	wantCode(t, err, "LimitExceededException")
	if !strings.HasSuffix(err.Error(), "The scan quota per image has been exceeded. Wait and try again.") {
		t.Error(err)
	}
	if out, err := describe(nil, 10); err != nil || out.ImageScanStatus.Status != types.ScanStatusInProgress || out.ImageScanFindings != nil {
		t.Error(out, err)
	}
	if err := f.work.RunDue(f.AsAdmin()); err != nil {
		t.Fatal(err)
	}
	waiter := ecr.NewImageScanCompleteWaiter(f.client)
	first, err := waiter.WaitForOutput(t.Context(), &ecr.DescribeImageScanFindingsInput{RepositoryName: new("app"), ImageId: tag, MaxResults: new(int32(1))}, time.Minute)
	if err != nil || first.NextToken == nil {
		t.Fatal(first, err)
	}
	b := first.ImageScanFindings.Findings[0]
	var attributes []string
	for _, a := range b.Attributes {
		attributes = append(attributes, *a.Key+"="+*a.Value)
	}
	if text := fmt.Sprint(*b.Name, b.Severity, *b.Description, *b.Uri, attributes, first.ImageScanFindings.FindingSeverityCounts); text != "CVE-2026-1HIGHA holehttps://example.com/DSA-1[package_name=openssl package_version=3.0.11-1~deb12u1 fixed_in_version=3.0.12-1 package_ecosystem=Debian:12 CVSS3_VECTOR="+scantest.HighVector+" CVSS3_SCORE=7.5] map[HIGH:1 UNDEFINED:1]" {
		t.Error(text)
	}
	second, err := describe(first.NextToken, 1)
	if err != nil || second.NextToken != nil || *second.ImageScanFindings.Findings[0].Name != "CVE-2026-2" {
		t.Error(second, err)
	}
	list, err := f.client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: new("app")})
	if err != nil || list.ImageDetails[0].ImageScanStatus.Status != types.ScanStatusComplete || list.ImageDetails[0].ImageScanFindingsSummary.FindingSeverityCounts["HIGH"] != 1 {
		t.Error(list, err)
	}
	f.wantEnhanced(t, d, describe)
}

// wantEnhanced compares the shape of the scan type ENHANCED.
func (f *fixture) wantEnhanced(t *testing.T, d digest.Digest, describe func(*string, int32) (*ecr.DescribeImageScanFindingsOutput, error)) {
	t.Helper()
	if _, err := f.client.PutRegistryScanningConfiguration(t.Context(), &ecr.PutRegistryScanningConfigurationInput{ScanType: types.ScanTypeEnhanced, Rules: []types.RegistryScanningRule{
		{ScanFrequency: types.ScanFrequencyContinuousScan, RepositoryFilters: []types.ScanningRepositoryFilter{{Filter: new("*"), FilterType: types.ScanningRepositoryFilterTypeWildcard}}},
	}}); err != nil {
		t.Fatal(err)
	}
	_, err := f.client.StartImageScan(t.Context(), &ecr.StartImageScanInput{RepositoryName: new("app"), ImageId: &types.ImageIdentifier{ImageTag: new("v1")}})
	wantCode(t, err, "ValidationException")
	out, err := describe(nil, 1)
	if err != nil || out.ImageScanStatus.Status != types.ScanStatusActive || out.ImageScanFindings.Findings != nil || len(out.ImageScanFindings.EnhancedFindings) != 1 {
		t.Fatal(out, err)
	}
	e := out.ImageScanFindings.EnhancedFindings[0]
	p := e.PackageVulnerabilityDetails
	if text := fmt.Sprint(*e.AwsAccountId, *e.Severity, e.Score, *e.FixAvailable, *e.Title, *e.Type, *p.VulnerabilityId, p.RelatedVulnerabilities, *p.Source, p.Cvss[0].BaseScore, *p.Cvss[0].Version, len(p.VulnerablePackages)); text != account+"HIGH7.5YESCVE-2026-1 - opensslPACKAGE_VULNERABILITYCVE-2026-1[DSA-1]DSA7.53.12" {
		t.Error(text)
	}
	v := p.VulnerablePackages[0]
	if text := fmt.Sprint(*v.Name, *v.Version, *v.Release, *v.Arch, *v.PackageManager, *v.FixedInVersion, v.Epoch == nil); text != "libssl33.0.111~deb12u1amd64OS3.0.12-1true" {
		t.Error(text)
	}
	image := e.Resources[0].Details.AwsEcrContainerImage
	if *image.ImageHash != string(d) || *image.RepositoryName != "app" || image.ImageTags[0] != "v1" || !strings.HasPrefix(*e.FindingArn, "arn:aws:inspector2:"+region+":"+account+":finding/") {
		t.Errorf("%+v", *image)
	}
}
