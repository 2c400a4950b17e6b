// Package nuget is a credential plug-in for NuGet: dotnet, nuget, msbuild and
// Visual Studio (Microsoft Learn, "NuGet cross platform plugins" and "NuGet
// cross platform authentication plugin", protocol version 2.0.0).
//
// NuGet starts the plug-in with the argument -Plugin. Both sides then write
// messages, one line of JSON each: requests, and in any order their responses, which
// have the request's id. If a request takes long, the plug-in reports progress,
// since NuGet waits for a few seconds only. A request can be cancelled.
//
// A conversation begins with a handshake in both directions. NuGet then describes
// itself (Initialize), asks what the plug-in can do (GetOperationClaims; the answer
// is Authentication), and asks for credentials (GetAuthenticationCredentials) as
// often as it needs some. The conversation ends with Close, or with standard
// input.
package nuget

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

const (
	// version is the version of the protocol, and minimumVersion the oldest one that
	// works: the messages that the plug-in uses are the same in both.
	version, minimumVersion = "2.0.0", "1.0.0"
	// ownID is the id of messages that are not responses.
	ownID = "gatehouse"
	// maxLine bounds a message, in bytes: NuGet sends a whole service index.
	maxLine = 16 << 20
	// progressInterval is well below the 5 seconds that NuGet waits.
	progressInterval = 2 * time.Second
)

// Tokens finds the token for a repository's address, and forgets it.
type Tokens interface {
	Packages(ctx context.Context, address string) (authtoken.Token, error)
	Forget(ctx context.Context, address string) error
}

// The types of messages.
const (
	typeRequest  = "Request"
	typeResponse = "Response"
	typeProgress = "Progress"
	typeCancel   = "Cancel"
	typeFault    = "Fault"
)

// The methods that are answered.
const (
	handshake     = "Handshake"
	initialize    = "Initialize"
	claims        = "GetOperationClaims"
	credentials   = "GetAuthenticationCredentials"
	logLevel      = "SetLogLevel"
	setProxy      = "SetCredentials" // for a proxy or a source; not needed here
	monitorParent = "MonitorNuGetProcessExit"
	closing       = "Close"
)

// The codes of responses.
const (
	success  = "Success"
	failed   = "Error"
	notFound = "NotFound"
)

type message struct {
	RequestID string          `json:"RequestId"`
	Type      string          `json:"Type"`
	Method    string          `json:"Method"`
	Payload   json.RawMessage `json:"Payload,omitempty"`
}

// A response is the payload of a response. Every method has the code.
type response struct {
	ResponseCode    string `json:"ResponseCode"`
	ProtocolVersion string `json:"ProtocolVersion,omitempty"` // of Handshake
	// The following are for GetAuthenticationCredentials.
	Username            string   `json:"Username,omitempty"`
	Password            string   `json:"Password,omitempty"`
	Message             string   `json:"Message,omitempty"`
	AuthenticationTypes []string `json:"AuthenticationTypes,omitempty"`
}

// Run talks to NuGet until it closes the conversation, or until in ends and all
// requests are answered. An error is from reading or writing.
func Run(ctx context.Context, in io.Reader, out io.Writer, tokens Tokens) error {
	ctx, cancel := context.WithCancel(ctx)
	c := &conversation{out: json.NewEncoder(out), tokens: tokens, running: map[string]context.CancelFunc{}}
	defer c.done.Wait()
	defer cancel()
	own := marshal(map[string]string{"ProtocolVersion": version, "MinimumProtocolVersion": minimumVersion})
	c.send(message{RequestID: ownID, Type: typeRequest, Method: handshake, Payload: own})
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := strings.TrimPrefix(lines.Text(), "\uFEFF")
		if line == "" {
			continue
		}
		var m message
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			c.fault(message{RequestID: ownID, Method: "None"}, fmt.Errorf("the message is not JSON: %w", err))
			continue
		}
		switch {
		case m.Type == typeRequest && m.Method == closing, m.Type == typeFault:
			return c.failure()
		case m.Type == typeCancel:
			c.cancel(m.RequestID)
		case m.Type == typeRequest:
			c.start(ctx, m)
		}
		if err := c.failure(); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	// A client that wrote all its requests and closed its end still reads.
	c.done.Wait()
	return c.failure()
}

// A conversation answers requests in parallel.
type conversation struct {
	tokens Tokens
	done   sync.WaitGroup

	mu      sync.Mutex
	out     *json.Encoder
	err     error // of writing
	running map[string]context.CancelFunc
}

func (c *conversation) send(m message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = c.out.Encode(m)
	}
}

func (c *conversation) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *conversation) fault(to message, err error) {
	c.send(message{RequestID: to.RequestID, Type: typeFault, Method: to.Method, Payload: marshal(map[string]string{"Message": err.Error()})})
}

func (c *conversation) respond(to message, payload any) {
	c.send(message{RequestID: to.RequestID, Type: typeResponse, Method: to.Method, Payload: marshal(payload)})
}

// start answers a request; GetAuthenticationCredentials, which takes time, in the
// background.
func (c *conversation) start(ctx context.Context, m message) {
	switch m.Method {
	case handshake:
		c.respond(m, agree(m.Payload))
	case initialize, logLevel, setProxy, monitorParent:
		c.respond(m, response{ResponseCode: success})
	case claims:
		c.respond(m, map[string][]string{"Claims": claimed(m.Payload)})
	case credentials:
		ctx, cancel := context.WithCancel(ctx)
		c.mu.Lock()
		c.running[m.RequestID] = cancel
		c.mu.Unlock()
		c.done.Go(func() {
			c.authenticate(ctx, m)
			c.cancel(m.RequestID)
		})
	default:
		c.fault(m, fmt.Errorf("this plug-in does not answer %s", m.Method))
	}
}

func (c *conversation) cancel(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel, ok := c.running[id]; ok {
		cancel()
		delete(c.running, id)
	}
}

// authenticate finds the credentials and reports progress in the meantime.
func (c *conversation) authenticate(ctx context.Context, m message) {
	found := make(chan response, 1)
	go func() { found <- find(ctx, m.Payload, c.tokens) }()
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case r := <-found:
			c.respond(m, r)
			return
		case <-ctx.Done():
			c.send(message{RequestID: m.RequestID, Type: typeCancel, Method: m.Method})
			return
		case <-tick.C:
			c.send(message{RequestID: m.RequestID, Type: typeProgress, Method: m.Method, Payload: marshal(struct{}{})})
		}
	}
}

// agree answers a handshake with the newest version that both sides know.
func agree(payload json.RawMessage) response {
	var theirs struct {
		ProtocolVersion        string `json:"ProtocolVersion"`
		MinimumProtocolVersion string `json:"MinimumProtocolVersion"`
	}
	err := json.Unmarshal(payload, &theirs)
	major, ok := majorVersion(theirs.ProtocolVersion)
	minimum, okMinimum := majorVersion(theirs.MinimumProtocolVersion)
	switch {
	case err != nil || !ok || !okMinimum || minimum > 2 || major < 1 || minimum > major:
		return response{ResponseCode: failed}
	case major == 1:
		return response{ResponseCode: success, ProtocolVersion: theirs.ProtocolVersion}
	}
	return response{ResponseCode: success, ProtocolVersion: version}
}

func majorVersion(v string) (int, bool) {
	major, _, _ := strings.Cut(v, ".")
	n, err := strconv.Atoi(major)
	return n, err == nil
}

// claimed lists what the plug-in can do: it authenticates, whatever the source. NuGet
// also asks with the address of a source, and gets an empty list.
func claimed(payload json.RawMessage) []string {
	var of struct {
		PackageSourceRepository *string `json:"PackageSourceRepository"`
	}
	if err := json.Unmarshal(payload, &of); err == nil && of.PackageSourceRepository != nil {
		return []string{}
	}
	return []string{"Authentication"}
}

// find answers a request for credentials. A retry means that the earlier ones were
// refused, so they are dropped first.
func find(ctx context.Context, payload json.RawMessage, tokens Tokens) response {
	var asked struct {
		URI     string `json:"Uri"`
		IsRetry bool   `json:"IsRetry"`
	}
	if err := json.Unmarshal(payload, &asked); err != nil {
		return response{ResponseCode: failed, Message: "NuGet's request cannot be read: " + err.Error()}
	}
	if asked.IsRetry {
		if err := tokens.Forget(ctx, asked.URI); err != nil {
			return response{ResponseCode: failed, Message: err.Error()}
		}
	}
	t, err := tokens.Packages(ctx, asked.URI)
	switch {
	case errors.Is(err, credential.ErrNotOurs):
		return response{ResponseCode: notFound, Message: err.Error()}
	case err != nil:
		return response{ResponseCode: failed, Message: err.Error()}
	}
	return response{ResponseCode: success, Username: t.Username, Password: t.Password, AuthenticationTypes: []string{"basic"}}
}

// marshal encodes values that consist of strings only.
func marshal(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
