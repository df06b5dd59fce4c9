"""Reads the partitions of a Kafka topic. Each is a writer of its own: one process holds several of them at once.

The ledger of a partition's writer says where reading begins. The consumer group only divides the partitions among
processors; its committed offsets are for tools that show a lag, and never read.

A record's way from the broker to a batch, from the top:

records     finds the lines of a record. Pure
shipment    a record that a shipper has sent: lines of files, and a header that says which
shipments   takes in what shippers have sent: each byte once, in its order. Pure
chunks      lines of records as chunks, and their offsets
beginning   where reading begins in a partition, by its ledger and its broker. Pure
watching    asks the broker for the topic's id, and for the ends of its partitions
writing     what counts and stores for a partition, while this process has its lease
reader      reads a partition: takes its records in, and hands their lines on
assignment  a partition that the group has given to this process: waits for its lease
group       the consumer: assigns, revokes and reads partitions
flow        the dataflow: source -> parse -> sink
run         builds the processor from its parts, and runs it
"""
