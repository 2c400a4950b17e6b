// Command baseline is the server that `go run ./bench` compares Gatehouse with: what
// net/http itself does on this machine at the same moment. It prints "listening on
// URL" and serves until it is terminated.
//
//	/hello   a handler that does nothing
//	/files/  http.FileServer
//	/token   a handler that verifies Signature Version 4 and answers with a token,
//	         without users, policies or audit records
//
// It imports no package of Gatehouse, so it does not change when Gatehouse becomes
// faster or slower.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "`HOST:PORT` to listen on")
	files := flag.String("files", ".", "`folder` below /files/")
	secret := flag.String("secret", "", "secret access key of every caller of /token")
	flag.Parse()

	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello\n") })
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(*files))))
	mux.Handle("/token", newTokenHandler(*secret))

	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	log.Fatal(http.Serve(l, mux))
}
