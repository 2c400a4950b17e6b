// Package scanworker reads the layers of images in a process of its own.
//
// Layers are hostile input. So the server does not parse them: [Runner.Read] starts its own
// program again, with the argument [Command] and an empty environment, and sends it the
// layers over its standard input. The process runs [Main]: it first gives up what it does
// not need (sandbox_linux.go), then package inventory reads the layers, and the answer goes
// to its standard output. A process that takes too much memory or time, or that crashes,
// ends a scan and nothing else.
//
// The stream has a frame for each layer: a line of JSON ([frame]), and then as many bytes as
// the line says. The end of the stream is the end of the image. The answer is one JSON text
// ([answer]).
package scanworker
