package ecrapi_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// An internal error is ECR's ServerException, without details for the client.
func TestMapError_ServerException(t *testing.T) {
	f := serve(t)
	f.create("app")
	if err := f.DB.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := f.client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: new("app")})
	wantException[*types.ServerException](t, err)
	wantError(t, err, "ServerException", 500)
}
