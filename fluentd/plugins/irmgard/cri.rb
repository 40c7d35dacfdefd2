# frozen_string_literal: true

require_relative 'clock'

module Irmgard
  # A line of a pod's log file, as the container runtime writes it:
  # `2026-11-22T10:49:43.101234567Z stdout F text`; `P` instead of `F` where the rest of the line follows.
  #
  # The parser plugin `cri` is not used: it drops a line of four words whose first is no time.
  module Cri
    LINE = /\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP])(?::\S*)?(?: (.*))?\z/mn

    module_function

    # [time in UTC, stream, whether the line ends here, text], or nil where it is no such line.
    def parse(bytes)
      match = LINE.match(bytes)
      time = match && Clock.utc(match[1])
      time && [time, match[2], match[3] == 'F', match[4] || String.new]
    end
  end
end
