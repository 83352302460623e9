#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stream of octets over TCP, as fast as it goes.

usage: tcp_load.py sink ADDRESS PORT               reads all that comes, until it is ended
       tcp_load.py send ADDRESS PORT SECONDS       sends; prints how many octets were acknowledged, a line
"""
import fcntl
import socket
import struct
import sys
import termios
import time

PIECE = bytes(64 << 10)


def sink(address, port):
    with socket.create_server((address, port)) as server:
        print("ready", flush=True)
        while True:
            connection = server.accept()[0]
            while connection.recv(1 << 20):
                pass
            connection.close()


def send(address, port, seconds):
    with socket.create_connection((address, port), 10) as connection:
        connection.settimeout(seconds + 10)
        sent, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            sent += connection.send(PIECE)
        waiting = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
        print(sent - waiting, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        sink(sys.argv[2], int(sys.argv[3]))
    else:
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
