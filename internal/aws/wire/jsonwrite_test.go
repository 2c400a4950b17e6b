package wire

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// AWS never writes a timestamp or a real number of JSON as an integer, and some
// decoders, such as OCaml's, take nothing else than a number with a fraction.
func TestJSON_RealNumbersHaveFraction(t *testing.T) {
	var expires time.Time
	var score float64
	e, c := newService(t, "ecr", Options{}), newService(t, "codeartifact", Options{})
	Handle(e, func(context.Context, *ecr.GetAuthorizationTokenInput) (*ecr.GetAuthorizationTokenOutput, error) {
		return &ecr.GetAuthorizationTokenOutput{AuthorizationData: []types.AuthorizationData{{ExpiresAt: &expires}}}, nil
	})
	Handle(e, func(context.Context, *ecr.DescribeImageScanFindingsInput) (*ecr.DescribeImageScanFindingsOutput, error) {
		return &ecr.DescribeImageScanFindingsOutput{ImageScanFindings: &types.ImageScanFindings{
			EnhancedFindings: []types.EnhancedImageScanFinding{{Score: score}},
		}}, nil
	})
	Handle(c, func(context.Context, *codeartifact.GetAuthorizationTokenInput) (*codeartifact.GetAuthorizationTokenOutput, error) {
		return &codeartifact.GetAuthorizationTokenOutput{Expiration: &expires, AuthorizationToken: aws.String("t")}, nil
	})
	url := serve(t, NewMux(e, c))
	ecrCall := func(operation, body string) string {
		return send(t, "POST", url, map[string]string{"X-Amz-Target": target + operation}, strings.NewReader(body)).text
	}
	for _, tt := range []struct {
		at   time.Time
		want string
	}{
		{time.Unix(1796045686, 0), "1796045686.0"},
		{time.Unix(1796045686, 999), "1796045686.0"},
		{time.UnixMilli(1796045686007), "1796045686.007"},
		{time.UnixMilli(1796045686500), "1796045686.500"},
		{time.Unix(0, 0), "0.0"},
		{time.UnixMilli(-1500), "-1.500"},
		{time.Unix(-1, 0), "-1.0"},
	} {
		expires = tt.at
		if got := ecrCall("GetAuthorizationToken", "{}"); got != `{"authorizationData":[{"expiresAt":`+tt.want+`}]}` {
			t.Errorf("ECR, %v: %s", tt.at, got)
		}
		if got := send(t, "POST", url+"/v1/authorization-token?domain=some-domain", nil, nil).text; !strings.Contains(got, `"expiration":`+tt.want+`}`) {
			t.Errorf("CodeArtifact, %v: %s", tt.at, got)
		}
	}
	for value, want := range map[float64]string{7: "7.0", 0: "0.0", -3: "-3.0", 9.8: "9.8", 1e21: "1e+21"} {
		score = value
		if got := ecrCall("DescribeImageScanFindings", `{"repositoryName":"app","imageId":{}}`); !strings.Contains(got, `"score":`+want+`,`) && !strings.Contains(got, `"score":`+want+`}`) {
			t.Errorf("%v: %s", value, got)
		}
	}
}
