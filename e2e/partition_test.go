package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A partition is a connection to a server that can be cut as a network is: what is sent
// is not delivered, and nobody is told.
type partition struct {
	listener net.Listener
	target   string

	mu   sync.Mutex
	open *sync.Cond
	cut  bool
}

func newPartition(t *testing.T, target string) *partition {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &partition{listener: l, target: target}
	p.open = sync.NewCond(&p.mu)
	go p.accept()
	t.Cleanup(func() {
		l.Close()
		p.set(false)
	})
	return p
}

func (p *partition) address() string { return p.listener.Addr().String() }

// set cuts the network, or repairs it.
func (p *partition) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	p.open.Broadcast()
}

func (p *partition) waitUntilOpen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cut {
		p.open.Wait()
	}
}

func (p *partition) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			p.waitUntilOpen()
			server, err := net.Dial("tcp", p.target)
			if err != nil {
				return
			}
			defer server.Close()
			go func() {
				p.copy(server, client)
				server.Close()
			}()
			p.copy(client, server)
		}()
	}
}

func (p *partition) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.waitUntilOpen()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
