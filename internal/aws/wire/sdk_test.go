package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/signer"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sdktest"
	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

// anyone accepts every request.
func anyone(r *http.Request, _ string, _ []byte) (context.Context, error) { return r.Context(), nil }

func newService(t testing.TB, name string, o Options) *Service {
	t.Helper()
	if o.Authenticate == nil {
		o.Authenticate = anyone
	}
	s, err := New(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve serves h until the test ends, and returns its address.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func config(url string) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
		BaseEndpoint: &url,
		HTTPClient:   sdktest.HTTPClient{},
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// oneHost keeps Signer's client from putting a prefix before the host of some operations.
func oneHost(o *signer.Options) {
	o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("oneHost", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
		}), middleware.Before)
	})
}

// clients are the SDK's clients of all services, for one address.
func clients(url string) map[string]any {
	return map[string]any{
		"ecr":            ecr.NewFromConfig(config(url)),
		"codeartifact":   codeartifact.NewFromConfig(config(url)),
		"sts":            sts.NewFromConfig(config(url)),
		"iam":            iam.NewFromConfig(config(url)),
		"secretsmanager": secretsmanager.NewFromConfig(config(url)),
		"signer":         signer.NewFromConfig(config(url), oneHost),
	}
}

// TestSDK_EveryOperation sends random inputs of every operation of the SDK's clients
// to a server, and random outputs back, all over one address. What arrives must
// equal what was sent, both ways.
func TestSDK_EveryOperation(t *testing.T) {
	services := map[string]*Service{}
	var all []*Service
	for name := range clients("") {
		services[name] = newService(t, name, Options{})
		all = append(all, services[name])
	}
	Union[iamtypes.PolicyIdentifier](services["iam"],
		&iamtypes.PolicyIdentifierMemberInlinePolicyIdentifier{},
		&iamtypes.PolicyIdentifierMemberPolicyArn{},
		&iamtypes.PolicyIdentifierMemberPolicyType{})
	for name, client := range clients(serve(t, NewMux(all...))) {
		t.Run(name, func(t *testing.T) {
			s, tried := services[name], map[string]bool{}
			for i := range reflect.TypeOf(client).NumMethod() {
				op, call := reflect.TypeOf(client).Method(i).Name, reflect.ValueOf(client).Method(i)
				if call.Type().NumIn() != 3 || call.Type().In(1).Kind() != reflect.Pointer {
					continue // Options
				}
				tried[op] = true
				for seed := range uint64(6) {
					if err := roundTrip(s, op, call, rand.New(rand.NewPCG(seed, 1))); err != nil {
						t.Fatalf("%s, seed %d: %v", op, seed, err)
					}
				}
			}
			for _, op := range s.Operations() {
				if !tried[op] {
					t.Errorf("the client does not have %s", op)
				}
			}
			t.Logf("%d operations", len(tried))
		})
	}
}

// roundTrip calls an operation through the client's method of that name.
func roundTrip(s *Service, op string, call reflect.Value, r *rand.Rand) error {
	var got, reply any
	in, out := call.Type().In(1).Elem(), call.Type().Out(0).Elem()
	err := s.handle(in, out, func() any { return reflect.New(in).Interface() },
		func(_ context.Context, v any) (any, error) {
			keepStreams(v)
			got = v
			return reply, nil
		})
	if err != nil {
		return err
	}
	for _, n := range s.planner.nodes {
		if n.kind != kindString || n.rule != nil && n.rule.enum == nil {
			n.rule = nil // what is random meets no constraint but an enum's
		}
	}
	input, output := reflect.New(in), reflect.New(out)
	if o := s.ops[op]; o.in != nil {
		fill(r, o.in, input.Elem(), 0)
	}
	if o := s.ops[op]; o.out != nil {
		fill(r, o.out, output.Elem(), 0)
	}
	if token := input.Elem().FieldByName("ClientRequestToken"); token.IsValid() && token.IsNil() {
		token.Set(reflect.ValueOf(new("0123456789abcdef0123456789abcdef"))) // the client would make one
	}
	wantIn, wantOut := snapshot(input), snapshot(output)
	reply = output.Interface()
	res := call.Call([]reflect.Value{reflect.ValueOf(context.Background()), input})
	if err, _ := res[1].Interface().(error); err != nil {
		return err
	}
	if gotIn := snapshot(reflect.ValueOf(got)); gotIn != wantIn {
		return fmt.Errorf("input\n got %s\nwant %s", gotIn, wantIn)
	}
	keepStreams(res[0].Interface())
	if gotOut := snapshot(res[0]); gotOut != wantOut {
		return fmt.Errorf("output\n got %s\nwant %s", gotOut, wantOut)
	}
	return nil
}

func fill(r *rand.Rand, n *node, v reflect.Value, depth int) {
	for i := range n.fields {
		f := &n.fields[i]
		if f.required || depth < 7 && r.IntN(5) > 0 {
			fv := v.FieldByIndex(f.index)
			fillValue(r, f.node, fv, depth+1, f.in == model.InHeader)
			if f.in == model.InQuery && f.node.kind == kindList {
				fv.Set(fv.Slice(0, 1)) // the client sorts them
			}
		}
	}
}

const alphabet = `abcXYZ019-_./:=+ %&?<>"'\` + "\t\néЖ世🙂"

func fillValue(r *rand.Rand, n *node, v reflect.Value, depth int, ascii bool) {
	v = elementOf(v)
	switch n.kind {
	case kindString:
		v.SetString(randomString(r, n, ascii))
	case kindBool:
		v.SetBool(r.IntN(2) == 0)
	case kindInt:
		v.SetInt(r.Int64N(1 << 30))
	case kindFloat:
		v.SetFloat(float64(r.IntN(1000)) / 8)
	case kindTime:
		v.Set(reflect.ValueOf(time.Unix(1.7e9+r.Int64N(1e8), r.Int64N(1000)*1e6).UTC()))
	case kindBlob:
		v.SetBytes(fmt.Append(nil, "blob\x00\xff", r.Uint64()))
	case kindStream:
		v.Set(reflect.ValueOf(stream(fmt.Append(nil, "stream", r.Uint64()))))
	case kindStruct:
		fill(r, n, v, depth)
		if len(n.fields) > 0 && !slices.ContainsFunc(n.fields, func(f field) bool { return !unset(v.FieldByIndex(f.index)) }) {
			// An empty structure has no form in awsQuery.
			fillValue(r, n.fields[0].node, v.FieldByIndex(n.fields[0].index), depth+1, ascii)
		}
	case kindUnion:
		f := n.fields[r.IntN(len(n.fields))]
		c := reflect.New(f.union.Elem())
		fillValue(r, f.node, c.Elem().FieldByIndex(f.index), depth+1, ascii)
		v.Set(c)
	case kindList:
		s := reflect.MakeSlice(n.typ, 1+r.IntN(max(1, 12>>(depth/2))), 12)
		if depth > 5 {
			s = s.Slice(0, 1)
		}
		for i := range s.Len() {
			fillValue(r, n.elem, s.Index(i), depth+1, ascii)
		}
		v.Set(s)
	case kindMap:
		m := reflect.MakeMap(n.typ)
		for i := range 1 + r.IntN(3) {
			e := reflect.New(n.typ.Elem()).Elem()
			fillValue(r, n.elem, e, depth+1, ascii)
			m.SetMapIndex(reflect.ValueOf(fmt.Sprint("k. ", i)).Convert(n.typ.Key()), e)
		}
		v.Set(m)
	}
}

func randomString(r *rand.Rand, n *node, ascii bool) string {
	if n.rule != nil {
		return n.rule.enum[r.IntN(len(n.rule.enum))]
	}
	letters := []rune(alphabet)
	if ascii {
		letters = letters[:20]
	}
	s := []rune{'a'}
	for range r.IntN(12) {
		s = append(s, letters[r.IntN(len(letters))])
	}
	return string(append(s, 'z'))
}

// seekable is a stream that the SDK can rewind to sign it.
type seekable struct{ *bytes.Reader }

func (seekable) Close() error { return nil }

func stream(b []byte) io.ReadCloser { return seekable{bytes.NewReader(b)} }

// keepStreams replaces the streams of v with copies that outlive the connection.
func keepStreams(v any) {
	s := reflect.ValueOf(v).Elem()
	for i := range s.NumField() {
		if f := s.Field(i); (f.Type() == readerType || f.Type() == closerType) && !f.IsNil() {
			b, err := io.ReadAll(f.Interface().(io.Reader))
			if err != nil {
				b = []byte(err.Error())
			}
			f.Set(reflect.ValueOf(stream(b)))
		}
	}
}

// snapshot prints v without pointers and the SDK's own fields. Empty
// values count as absent.
func snapshot(v reflect.Value) string {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return ""
		}
		if s, ok := v.Interface().(seekable); ok {
			b, _ := io.ReadAll(s)
			_, _ = s.Seek(0, io.SeekStart)
			return fmt.Sprintf("stream(%s)", b)
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return t.UTC().Format(time.RFC3339Nano)
		}
		var b strings.Builder
		for i := range v.NumField() {
			if sf := v.Type().Field(i); sf.IsExported() && sf.Name != "ResultMetadata" {
				if s := snapshot(v.Field(i)); s != "" {
					fmt.Fprintf(&b, "%s:%s ", sf.Name, s)
				}
			}
		}
		return "{" + b.String() + "}"
	case reflect.Slice:
		if v.Type() == bytesType {
			return fmt.Sprintf("%q", v.Bytes())
		}
		var b strings.Builder
		for i := range v.Len() {
			b.WriteString(snapshot(v.Index(i)) + " ")
		}
		return b.String()
	case reflect.Map:
		var b strings.Builder
		for _, k := range sortedKeys(v) {
			fmt.Fprintf(&b, "%q=%s ", k.String(), snapshot(v.MapIndex(k)))
		}
		return b.String()
	case reflect.String:
		if v.Len() == 0 {
			return ""
		}
		return fmt.Sprintf("%q", v.String())
	}
	return fmt.Sprint(v.Interface())
}
