# frozen_string_literal: true

require_relative 'trace'

module Irmgard
  # How grave a line is, where that is certain.
  module Level
    ALL = %w[error warn info debug trace].freeze
    WORDS = {
      'trace' => 'trace', 'debug' => 'debug', 'info' => 'info', 'information' => 'info', 'notice' => 'info',
      'warn' => 'warn', 'warning' => 'warn', 'error' => 'error', 'err' => 'error', 'fatal' => 'error',
      'critical' => 'error', 'crit' => 'error', 'panic' => 'error', 'emerg' => 'error',
      'emergency' => 'error', 'alert' => 'error'
    }.freeze
    # pino and bunyan.
    NUMBERS = (10..60).freeze

    DIES = /\A(?:panic: |fatal error: |Traceback \(most recent call last\):|Exception in thread "|#{Trace::RUST.source.delete_prefix('\A')})/
    KLOG = /\A([IWEF])\d{4} \d\d:\d\d:\d\d\.\d{6}\s/
    KLOG_LETTERS = { 'I' => 'info', 'W' => 'warn', 'E' => 'error', 'F' => 'error' }.freeze
    TIME = %r{\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?}
    CAPITALS = WORDS.keys.map(&:upcase).join('|').freeze
    # `[2026-11-22T10:49:43,101][INFO ]` is OpenSearch's, `2026-11-22 10:49:43.101 UTC [17] FATAL:` PostgreSQL's.
    WORD = /\A(?:(?:#{TIME}|\[#{TIME}\])[ \t]*(?:\[\d+\][ \t]+)?)?(?:\[(#{CAPITALS}|#{WORDS.keys.join('|')}) *\]|(#{CAPITALS})(?=[\s:|]|\z))/
    LOGFMT = %r{\A[A-Za-z0-9_.@/-]+=}
    PAIR = %r{([A-Za-z0-9_.@/-]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)}
    NAMES = %w[level lvl severity loglevel].freeze

    module_function

    # Of a text without colours: its first line tells.
    def of_text(text)
      text = text[/\A[^\n]*/]
      return 'error' if DIES.match?(text)

      if (match = KLOG.match(text))
        KLOG_LETTERS[match[1]]
      elsif (match = WORD.match(text))
        WORDS[(match[1] || match[2]).downcase]
      elsif LOGFMT.match?(text)
        of_pairs(text)
      end
    end

    # Of a member of a foreign JSON object.
    def of_value(value)
      case value
      when String then WORDS[value.downcase]
      when Integer then of_number(value) if NUMBERS.cover?(value)
      end
    end

    def of_number(number)
      return 'error' if number >= 50

      { 1 => 'trace', 2 => 'debug', 3 => 'info', 4 => 'warn' }[number / 10]
    end

    def of_pairs(text)
      text.scan(PAIR) do |name, value|
        level = NAMES.include?(name) && WORDS[value.delete_prefix('"').delete_suffix('"').downcase]
        return level if level
      end
      nil
    end
  end
end
