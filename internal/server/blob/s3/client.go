package s3

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// Limits of every request. The store is an address that the operator configured, often
// an internal one, and its objects are large. So package egress, which refuses both,
// does not fit; its rule that nothing may wait for ever does.
const (
	dialTimeout = 5 * time.Second
	// stall is how long a connection may move nothing in either direction. S3 sends
	// spaces while it completes a large object or copies one.
	stall = time.Minute
	// attempts and maxBackoff bound the retries of one request: about 10 s, which is
	// longer than a store needs to restart.
	attempts   = 6
	maxBackoff = 4 * time.Second
	// stalls is how many connections of one request may stall. A connection that a
	// network has forgotten is replaced; a store that hangs would hold a client for six
	// minutes.
	stalls  = 2
	maxIdle = 64
)

// connect makes the clients. Credentials and what the configuration does not say come
// from where the AWS SDK always looks for them.
func (s *Store) connect(ctx context.Context) error {
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(limitTransport)), // the SDK adds AWS_CA_BUNDLE
		awsconfig.WithRetryer(newRetryer),
		// The SDK would add a trailer that many stores do not know. This package sends
		// the checksums itself.
		awsconfig.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		awsconfig.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if s.config.Region != "" {
		options = append(options, awsconfig.WithRegion(s.config.Region))
	}
	c, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return err
	}
	if c.Region == "" {
		if s.config.Endpoint == "" {
			return errors.New("the region of the bucket is not known; add ?region=… to the address, or set AWS_REGION")
		}
		c.Region = "us-east-1" // stores without regions take this one
	}
	s.client = awss3.NewFromConfig(c, s.options(s.config.Endpoint), func(o *awss3.Options) {
		o.APIOptions = append(o.APIOptions, s.metrics.observe)
	})
	if s.config.Redirect {
		endpoint := s.config.DownloadEndpoint
		if endpoint == "" {
			endpoint = s.config.Endpoint
		}
		s.presign = awss3.NewPresignClient(awss3.NewFromConfig(c, s.options(endpoint)))
	}
	return nil
}

func (s *Store) options(endpoint string) func(*awss3.Options) {
	return func(o *awss3.Options) {
		o.UsePathStyle = s.config.PathStyle
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	}
}

// newRetryer returns the SDK's retries with more attempts. Its bucket of tokens is for
// clients of one user; here it would make all uploads fail at once after the first few
// errors of a store that restarts.
func newRetryer() aws.Retryer {
	return patience{retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.RateLimiter = attempts, maxBackoff, ratelimit.None
	})}
}

// patience ends the retries of a request whose connections stall.
type patience struct{ aws.RetryerV2 }

// RetryDelay implements [aws.Retryer]. An error ends the retries.
func (p patience) RetryDelay(attempt int, err error) (time.Duration, error) {
	if attempt >= stalls && errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err
	}
	return p.RetryerV2.RetryDelay(attempt, err)
}

func limitTransport(t *http.Transport) {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return stallingConn{c, stall}, nil
	}
	t.TLSHandshakeTimeout = dialTimeout
	t.MaxResponseHeaderBytes = 64 << 10
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.IdleConnTimeout = maxIdle, maxIdle, stall
	t.DisableCompression = true
}

// A stallingConn fails if nothing moves for a time. A read waits while a body is sent,
// so a write moves the deadline of both.
type stallingConn struct {
	net.Conn
	limit time.Duration
}

func (c stallingConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c stallingConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
