module rotators

go 1.13

require gopkg.in/natefinch/lumberjack.v2 v2.2.1
