# frozen_string_literal: true

require_relative 'clock'

module Irmgard
  # A stack trace while its lines come in: which line starts one, and which goes on with it.
  class Trace
    QUALIFIED = /(?<![\w$.])(?:[A-Za-z_$][\w$]*\.)+(?:[A-Za-z_$][\w$]*)?(?:Exception|Error)(?![\w$])/
    BARE = /\A[\w$]*(?:Exception|Error)(?::\s|:?\z)/
    RUST = /\Athread '[^']*'(?: \(\d+\))? panicked at /
    # What a text has that may start a trace: one look for nearly all lines.
    PERHAPS = /Exception|Error|\A(?:Traceback |panic: |fatal error: |goroutine |thread ')/
    STARTS = [
      [:python, /\ATraceback \(most recent call last\):/],
      [:go, /\A(?:panic: |fatal error: |goroutine \d+ \[)/],
      [:rust, RUST],
      [:java, /\AException in thread "|#{BARE}|#{QUALIFIED}/]
    ].freeze

    INDENTED = /\A[ \t]/
    JAVA_FIRST = /\A\s+at |\A\s+\.\.\. \d+ |\ACaused by: /
    JAVA = /\A(?:[ \t]|Caused by: |Suppressed: |\.\.\. \d+ (?:more|common frames omitted))/
    GO = /\A(?:\z|[ \t]|\[signal |goroutine \d+ \[|created by |exit status |[A-Za-z_][^\s(]*\(.*\)\z)/
    RUST_REST = /\A(?:[ \t]|note: run with |note: Some details are omitted|stack backtrace:)/
    PYTHON_AGAIN = /\A(?:During handling of the above exception, another exception occurred:|The above exception was the direct cause of the following exception:)/

    LINES = 500
    BYTES = 256 * 1024
    SECONDS = 1

    # The kind of trace that a text starts, or nil.
    def self.start(text)
      return if text.start_with?('{') || !PERHAPS.match?(text)

      STARTS.find { |_, pattern| pattern.match?(text) }&.first
    end

    attr_reader :time, :text

    def initialize(kind, time, text)
      @kind = kind
      @time = @last = time
      @text = +text
      @lines = 1
      @first = text
      # Of a Python trace: frames, error (its line was seen), again (another one is announced).
      @python = :frames
    end

    # All of it as plain values, and back.
    def state
      [@kind.to_s, @time, @last, @text, @lines, @first, @python.to_s]
    end

    def self.restored(state)
      new(state[0].to_sym, state[1], state[3]).tap { |trace| trace.restore(*state) }
    end

    def restore(_kind, _time, last, _text, lines, first, python)
      @last = last
      @lines = lines
      @first = first
      @python = python.to_sym
    end

    # Takes the line if it goes on with this trace; says whether it did.
    def take(time, text)
      return false if text.start_with?('{') || full?(text) || !goes_on?(text) || late?(time)

      @text << "\n" << text
      @last = time
      @lines += 1
      true
    end

    private

    def full?(text)
      @lines >= LINES || @text.bytesize + 1 + text.bytesize > BYTES
    end

    def late?(time)
      Clock.seconds_between(@last, time) > SECONDS
    end

    def goes_on?(text)
      case @kind
      when :java then (@lines == 1 ? JAVA_FIRST : JAVA).match?(text)
      when :go then GO.match?(text)
      when :rust then RUST_REST.match?(text) || (@lines == 1 && @first.end_with?(':'))
      when :python then python?(text)
      end
    end

    def python?(text)
      return true if text.empty?

      case @python
      when :frames
        # The first line that is not indented is the error's, whatever it says.
        @python = :error unless INDENTED.match?(text)
        true
      when :error
        PYTHON_AGAIN.match?(text) && (@python = :again)
      when :again
        STARTS.assoc(:python)[1].match?(text) && (@python = :frames)
      end
    end
  end
end
