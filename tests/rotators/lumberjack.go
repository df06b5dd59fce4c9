// Writes the lines of its input to a log that lumberjack rotates. An empty line asks whether all before are written.
package main

import (
	"bufio"
	"fmt"
	"os"

	"gopkg.in/natefinch/lumberjack.v2"
)

func main() {
	log := &lumberjack.Logger{Filename: os.Args[1], MaxSize: 1, Compress: os.Args[2] == "gzip"}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			fmt.Println("written")
		} else if _, err := log.Write(append(lines.Bytes(), '\n')); err != nil {
			panic(err)
		}
	}
}
