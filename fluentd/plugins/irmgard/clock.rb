# frozen_string_literal: true

require 'date'

module Irmgard
  # Times as text, always written as `2026-11-22T10:49:43.101000000Z`.
  module Clock
    RFC3339 = /\A(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-]\d\d):(\d\d))\z/n
    # OpenSearch keeps nanoseconds since 1970 in 64 bits; a time outside would get the whole document rejected.
    YEARS = (1970..2261).freeze
    # Seconds since 1970 that a program writes as its time: from September 2001 to 2255. What is less counts from its
    # start, what is more milliseconds.
    SECONDS = (1_000_000_000...9_000_000_000).freeze

    module_function

    # The time of an RFC 3339 text in UTC with nine digits, or nil where it is none that OpenSearch takes.
    def utc(text)
      # nil.to_s is wanted below: without an offset, and without a fraction, there is nothing to add.
      _, year, month, day, hour, minute, second, fraction, offset_hours, offset_minutes = RFC3339.match(text)&.to_a
      return unless year && possible?(year.to_i, month.to_i, day.to_i, hour.to_i, minute.to_i, second.to_i)

      nanoseconds = (fraction || '')[0, 9].ljust(9, '0')
      if offset_hours.nil? || (offset_hours.end_with?('00') && offset_minutes == '00')
        return unless YEARS.cover?(year.to_i)

        return "#{year}-#{month}-#{day}T#{hour}:#{minute}:#{second}.#{nanoseconds}Z"
      end
      shifted(Time.utc(year.to_i, month.to_i, day.to_i, hour.to_i, minute.to_i, second.to_i),
              offset_hours, offset_minutes, nanoseconds)
    end

    # The time so many seconds after the beginning of 1970, to the microsecond: a float holds no more.
    def of_seconds(number)
      return unless SECONDS.cover?(number)

      seconds = number.floor
      micros = ((number - seconds) * 1_000_000).round
      seconds, micros = seconds + 1, 0 if micros == 1_000_000
      Time.at(seconds).utc.strftime("%Y-%m-%dT%H:%M:%S.#{format('%06d', micros)}000Z")
    end

    # Now, as the container runtime would write it.
    def now
      Time.now.utc.strftime('%Y-%m-%dT%H:%M:%S.%NZ')
    end

    # Seconds from one such time to another, as a Rational.
    def seconds_between(earlier, later)
      instant(later) - instant(earlier)
    end

    def possible?(year, month, day, hour, minute, second)
      hour < 24 && minute < 60 && second < 60 && Date.valid_date?(year, month, day)
    end

    def shifted(time, hours, minutes, nanoseconds)
      return if hours.to_i.abs > 23 || minutes.to_i > 59

      seconds = (hours.to_i.abs * 3600) + (minutes.to_i * 60)
      time += hours.start_with?('-') ? seconds : -seconds
      time.strftime("%Y-%m-%dT%H:%M:%S.#{nanoseconds}Z") if YEARS.cover?(time.year)
    end

    def instant(text)
      Time.utc(text[0, 4].to_i, text[5, 2].to_i, text[8, 2].to_i, text[11, 2].to_i, text[14, 2].to_i,
               Rational(text[17..-2]))
    end
  end
end
